"""An annotation file as something to measure on: numbered, counted, or refused."""

import hashlib
import json
import logging

import pytest

from tests.cases import detection_sets
from transfer.errors import InputError
from transfer.evaluation import ground_truth


@pytest.fixture(scope="module")
def content():
    return detection_sets.make(0, images=6)[0]


def write(folder, truth):
    return detection_sets.write(folder, truth, [])[0]


def test_everything_is_numbered_from_1_in_the_order_of_the_ids(content, tmp_path):
    truth = json.loads(json.dumps(content))
    for category in truth["categories"]:
        category["id"] *= -10
    for entry in truth["annotations"]:
        entry["category_id"] *= -10
    truth["images"].reverse()
    file = write(tmp_path, truth)
    read = ground_truth.read(file)
    ids = sorted(image["id"] for image in truth["images"])
    assert (read.image_ids, read.category_ids) == (ids, [-60, -50, -40, -30, -20, -10])
    assert list(read.classes.items()) == [(k, f"class {7 - k}") for k in range(1, 7)]
    assert sorted(read.sizes) == list(range(1, 7))
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    assert [read.sizes[k + 1] for k in range(6)] == [sizes[i] for i in ids]
    for entry, own in zip(truth["annotations"], read.content["annotations"], strict=True):
        assert ids[own["image_id"] - 1] == entry["image_id"]
        assert (own["category_id"] - 7) * 10 == entry["category_id"]
        assert own["bbox"] == entry["bbox"]
    assert (read.protocol, read.frequency, read.has_masks) == ("coco", {}, True)
    assert read.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_lvis_is_known_by_its_lists(tmp_path):
    truth = detection_sets.make(1, images=6, lvis=True)[0]
    read = ground_truth.read(write(tmp_path, truth))
    assert (read.protocol, list(read.frequency.values())) == ("lvis", ["r", "c", "f"] * 2)


def test_counts_and_the_records_description_of_it(content, tmp_path):
    file = write(tmp_path, content)
    read = ground_truth.read(file)
    crowds = sum(entry["iscrowd"] for entry in content["annotations"])
    counts = read.counts(5)
    assert (counts.images, counts.objects, counts.crowds) == (6, len(content["annotations"]) - crowds, crowds)
    assert (counts.classes, counts.detections) == (5, 5)  # class 6 has no object
    split = read.split()
    assert (split.annotations, split.n_images, split.classes[0]) == (str(file), 6, "class 1")
    assert (split.images, split.n_instances) == ("", len(content["annotations"]))


def test_masks_that_nobody_asked_for_do_not_stop_boxes(content, tmp_path):
    truth = json.loads(json.dumps(content))
    for entry in truth["annotations"]:
        entry["segmentation"] = {"size": [1, 1], "counts": [1]}
    file = write(tmp_path, truth)
    assert "segmentation" not in ground_truth.read(file, ["bbox"]).content["annotations"][0]
    undecided = ground_truth.read(file)
    assert "mask" in undecided.masks_refused
    with pytest.raises(InputError) as error:
        ground_truth.read(file, ["segm"])
    assert str(error.value) == undecided.masks_refused


def test_what_was_read_last_is_not_read_again_and_a_changed_file_is(content, tmp_path, caplog):
    truth = json.loads(json.dumps(content))
    file = write(tmp_path, truth)
    first = ground_truth.read(file)
    assert ground_truth.read(file) is first
    truth["categories"][0]["name"] = "other"
    write(tmp_path, truth)
    assert ground_truth.read(file).classes[1] == "other"


def test_what_is_only_counted_is_logged(content, tmp_path, caplog):
    truth = json.loads(json.dumps(content))
    truth["annotations"] = truth["annotations"] * 10  # one in more than a hundred is counted, more are refused
    truth["annotations"] = [{**entry, "id": k} for k, entry in enumerate(truth["annotations"])]
    x, *rest = truth["annotations"][0]["bbox"]
    truth["annotations"][0]["bbox"] = [x + 1000, *rest]
    with caplog.at_level(logging.WARNING):
        ground_truth.read(write(tmp_path, truth), ["bbox"])
    assert f"{tmp_path / 'ann.json'}: 1 " in caplog.text


def only_crowds(truth):
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = 1


BAD = {
    "no objects": (lambda t: t.update(annotations=[]), "expected at least one object to find, found none"),
    "only crowds": (only_crowds, "expected at least one object to find, found 21 crowd regions"),
    "object of no image": (
        lambda t: t["annotations"][3].update(image_id=5),
        "1 annotations of unknown images (first: annotation 3: image_id 5)",
    ),
    "object of no class": (
        lambda t: t["annotations"][3].update(category_id=7),
        "1 annotations of unknown categories (first: annotation 3: category_id 7)",
    ),
    "images twice": (
        lambda t: t["images"].append(t["images"][0]),
        "1 duplicate ids in images (first: 100)",
    ),
    "names twice": (
        lambda t: t["categories"][0].update(name="class 2"),
        '1 duplicate category names (first: "class 2")',
    ),
    "no area": (
        lambda t: t["annotations"][3].pop("area"),
        '1 annotations without "area" in pixels (first: annotation 3: null)',
    ),
    "box of no box": (
        lambda t: t["annotations"][3].update(bbox=[1]),
        "four finite numbers (first: annotation 3 [1])",
    ),
    "image without size": (lambda t: t["images"][1].pop("height"), "(first: images[1]: 140 x null)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_content_is_refused_in_one_line(content, tmp_path, case):
    change, line = BAD[case]
    truth = json.loads(json.dumps(content))
    change(truth)
    with pytest.raises(InputError) as error:
        ground_truth.read(write(tmp_path, truth), ["bbox", "segm"])
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_to_find_may_be_asked_for(content, tmp_path):
    """Pictures of detections need no object."""
    file = write(tmp_path, {**content, "annotations": []})
    assert ground_truth.read(file, objects=False).content["annotations"] == []
