"""A results file is read completely, or refused with the first detection at fault."""

import json

import hotcoco.mask
import numpy as np
import pytest

from tests.cases import detection_sets
from transfer.errors import InputError
from transfer.evaluation import detections, ground_truth


@pytest.fixture(scope="module")
def content():
    return detection_sets.make(0, images=6)


def read(folder, truth, results, tasks=None):
    gt, file = detection_sets.write(folder, truth, results)
    return detections.read(file, ground_truth.read(gt), tasks)


def test_the_columns_are_the_files_in_its_order(content, tmp_path):
    truth, results = content
    columns = read(tmp_path, truth, results)
    ids = sorted(image["id"] for image in truth["images"])
    assert len(columns) == len(results)
    assert columns.tasks == ("bbox", "segm")
    assert [ids[number - 1] for number in columns.image_ids] == [entry["image_id"] for entry in results]
    assert columns.category_ids.tolist() == [entry["category_id"] for entry in results]
    assert columns.scores.tolist() == [entry["score"] for entry in results]
    assert columns.boxes.tolist() == [entry["bbox"] for entry in results]
    assert columns.masks == [entry["segmentation"] for entry in results]


def test_chosen_ones_keep_the_order_asked_for(content, tmp_path):
    columns = read(tmp_path, *content)
    some = columns.chosen(np.array([5, 0]))
    assert some.scores.tolist() == [content[1][5]["score"], content[1][0]["score"]]
    assert some.boxes.tolist() == [content[1][5]["bbox"], content[1][0]["bbox"]]
    assert some.masks == [content[1][5]["segmentation"], content[1][0]["segmentation"]]
    boxes = read(tmp_path, *content, tasks=["bbox"])
    assert boxes.masks is boxes.chosen(np.array([1])).masks is None


def test_none_is_a_result_too(content, tmp_path):
    columns = read(tmp_path, content[0], [])
    assert (len(columns), columns.boxes.shape, columns.masks) == (0, (0, 4), [])


def edit(place, value):
    """Change one field of detection 7."""

    def change(results):
        entry = results[7]
        for key in place[:-1]:
            entry = entry[key]
        if value is KeyError:
            del entry[place[-1]]
        else:
            entry[place[-1]] = value

    return change


def shortened(results):
    results[7]["segmentation"]["counts"] = results[7]["segmentation"]["counts"][:-2]


BAD = {
    "unknown image": (edit(["image_id"], 999), "detection 7: expected an image_id of the ground truth, found 999"),
    "unknown class": (edit(["category_id"], 0), "detection 7: expected a category_id of the ground truth, found 0"),
    "image id as text": (
        edit(["image_id"], "100"),
        'detection 7: expected an image_id of the ground truth, found "100"',
    ),
    "no image id": (edit(["image_id"], KeyError), 'detection 7: expected "image_id", found only "category_id"'),
    "score above 1": (edit(["score"], 1.5), "detection 7: expected a score, a number in 0-1, found 1.5"),
    "score below 0": (edit(["score"], -0.1), "detection 7: expected a score, a number in 0-1, found -0.1"),
    "score NaN": (edit(["score"], float("nan")), "detection 7: expected a score, a number in 0-1, found NaN"),
    "score as text": (edit(["score"], "0.5"), 'detection 7: expected a score, a number in 0-1, found "0.5"'),
    "no score": (edit(["score"], KeyError), 'detection 7: expected "score", found only "image_id"'),
    "box of three": (edit(["bbox"], [1, 2, 3]), "detection 7: expected a bbox, [x, y, width, height]"),
    "negative box": (edit(["bbox"], [1, 2, -3, 4]), "detection 7: expected a bbox, [x, y, width, height]"),
    "infinite box": (edit(["bbox"], [1, 2, float("inf"), 4]), "detection 7: expected a bbox"),
    "other size": (
        edit(["segmentation", "size"], [5, 9]),
        "expected a mask of its image's size, [120, 160]",
    ),
    "cut code": (shortened, "detection 7: expected run lengths that fill its image, 19200 pixels"),
    "no mask at all": (edit(["segmentation"], 5), "detection 7: expected a mask, run lengths that fill its image"),
    "plain runs": (
        edit(["segmentation", "counts"], [5, 5]),
        "detection 7: expected a mask, run lengths that fill its image",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_content_is_refused_in_one_line(content, tmp_path, case):
    change, line = BAD[case]
    truth, results = json.loads(json.dumps(content))
    change(results)
    with pytest.raises(InputError) as error:
        read(tmp_path, truth, results, ["bbox", "segm"])
    assert line in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'results.json'}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("box", "line"),
    [
        (lambda x, y, w, h, size: [x / size[1], y / size[0], w / size[1], h / size[0]], "not in fractions"),
        (lambda x, y, w, h, size: [size[1] - 20, size[0] - 20, size[1] - 1, size[0] - 1], "not corners"),
        (lambda x, y, w, h, size: [x + 2 * size[1], y, w, h], "that touch their image"),
    ],
)
def test_boxes_of_another_kind_are_refused_together(content, tmp_path, box, line):
    truth, results = json.loads(json.dumps(content))
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    for entry in results:
        entry["bbox"] = box(*entry["bbox"], sizes[entry["image_id"]])
    with pytest.raises(InputError, match=f"detection 0: expected boxes.*{line}.*{len(results)} of {len(results)} such"):
        read(tmp_path, truth, results, ["bbox"])


def test_a_mask_may_be_polygons_or_plain_runs(content, tmp_path):
    """Each is drawn as its compressed code is."""
    truth, results = json.loads(json.dumps(content))
    sizes = {image["id"]: [image["height"], image["width"]] for image in truth["images"]}
    codes = read(tmp_path / "codes", truth, results).masks
    runs = json.loads(json.dumps(results))
    for entry in runs:
        mask = hotcoco.mask.decode({**entry["segmentation"], "counts": entry["segmentation"]["counts"].encode()})
        entry["segmentation"] = {"size": sizes[entry["image_id"]], "counts": detection_sets._runs(mask)}
    assert read(tmp_path / "runs", truth, runs).masks == codes
    for entry in results:
        x, y, w, h = entry["bbox"]
        entry["segmentation"] = [[x, y, x + w, y, x + w, y + h / 2, x + w / 3, y + h]]
    assert read(tmp_path / "polygons", truth, results).masks == codes
