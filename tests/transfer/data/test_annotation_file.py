"""The reader itself: encodings, what is left out, and what is only changed in form."""

import json
import logging
from pathlib import Path

import pytest

from tests.cases.coco_sets import edit, write_coco
from transfer.data import annotation_file, coco
from transfer.errors import InputError
from transfer.evaluation import detections, ground_truth, measure


@pytest.fixture
def files(tmp_path):
    images, ann = write_coco(tmp_path / "set", 4)
    return images, Path(ann)


def read(file):
    return annotation_file.read(file, names=True)


def test_a_byte_order_mark_of_utf8_is_read_over(files):
    whole = read(files[1])
    files[1].write_bytes(b"\xef\xbb\xbf" + files[1].read_bytes())
    assert read(files[1]).content == whole.content
    assert read(files[1]).sha256 != whole.sha256


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_other_encodings_are_refused_in_one_line(files, encoding):
    edit(files[1], lambda c: c["categories"][0].update(name="Größe"))
    content = json.dumps(json.loads(files[1].read_text()), ensure_ascii=False)
    files[1].write_bytes(content.encode(encoding))
    with pytest.raises(InputError, match=r"is no (UTF-8|JSON): expected a COCO annotation file") as error:
        read(files[1])
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("pretty", [None, 1, "\t"])
@pytest.mark.parametrize("place", ["top", "image", "annotation"])
def test_a_key_twice_is_refused(files, place, pretty):
    content = json.loads(files[1].read_text())
    text = json.dumps(content, indent=pretty)
    old, new = {
        "top": ('"images":', '"categories": [], "images":'),
        "image": ('"width":', '"width": 5, "width":'),
        "annotation": ('"area":', '"iscrowd": 1, "area":'),
    }[place]
    files[1].write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match="has a key twice"):
        read(files[1])


def test_colons_in_texts_are_no_keys(files):
    def change(content):
        content["categories"][0]["name"] = ":smile:"
        content["info"] = {"a": 'say "x": y', "b": [1, {"c": {"d": ": "}}], "e": ["x", {"f": 1}]}

    edit(files[1], change)
    assert {c["name"] for c in read(files[1]).content["categories"]} == {":smile:", "cross"}


def test_the_fields_that_engines_take_are_of_one_form(files):
    def change(content):
        content["images"][0].update(width=64.0, height=64.0)
        content["annotations"][0].update(iscrowd=False)
        content["annotations"][1].update(iscrowd=0.0)
        del content["annotations"][2]["iscrowd"], content["annotations"][3]["id"]

    edit(files[1], change)
    content = read(files[1]).content
    assert type(content["images"][0]["width"]) is int
    assert [(a["iscrowd"], type(a["iscrowd"])) for a in content["annotations"]] == [(0, int)] * 4


def roboflow(content):
    """What Roboflow exports: a first class that only names the others' supercategory."""
    for category in content["categories"]:
        category["supercategory"] = "things"
    content["categories"].insert(0, {"id": 0, "name": "things", "supercategory": "none"})


def test_a_placeholder_is_no_class_in_training_and_measuring(files, tmp_path, caplog):
    edit(files[1], roboflow)
    data = coco.read_coco(*files)
    assert data.classes == ("square", "cross")
    assert data.changes == (
        '1 categories without an annotation that only name the supercategory of the others (first: "things"): left '
        "out: labelling tools add them",
    )
    with caplog.at_level(logging.WARNING):
        truth = ground_truth.read(files[1])
    assert "1 categories without an annotation" in caplog.text
    assert list(truth.classes.values()) == ["square", "cross"]
    entries = json.loads(files[1].read_text())["annotations"]
    entries_of_results = [{k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.5} for a in entries]
    results = tmp_path / "results.json"
    results.write_text(json.dumps([*entries_of_results, {**entries_of_results[0], "category_id": 0, "score": 0.9}]))
    read_found = detections.read(results, truth)
    assert "1 detections of categories without an annotation: left out" in caplog.text
    assert len(read_found) == 4
    assert measure.measure(truth, read_found).metrics["bbox"]["AP"] == pytest.approx(100)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["annotations"][0].update(category_id=0),  # it has an object
        lambda c: c["categories"][1].update(supercategory="animal"),  # not that of all others
        lambda c: c["categories"][0].update(name="thing"),
        lambda c: c.update(annotations=[]),  # nothing is annotated at all
        lambda c: [category.pop("supercategory") for category in c["categories"]],
    ],
)
def test_a_class_is_no_placeholder(files, change):
    edit(files[1], lambda c: (roboflow(c), change(c)))
    assert len(read(files[1]).content["categories"]) == 3


def test_an_empty_class_that_is_its_own_supercategory_stays(files):
    edit(files[1], lambda c: c["categories"].append({"id": 3, "name": "person", "supercategory": "person"}))
    assert len(read(files[1]).content["categories"]) == 3


def test_unknown_categories_in_lvis_lists_are_left_out_and_counted(files):
    edit(files[1], lambda c: c["images"][0].update(neg_category_ids=[1, 99], not_exhaustive_category_ids=[]))
    given = annotation_file.read(files[1], names=False)
    assert given.content["images"][0]["neg_category_ids"] == [1]
    assert given.changes[0].startswith("1 unknown categories in the lists of LVIS images")
