"""A results file is read completely, or refused with the first detection at fault."""

import json

import numpy as np
import pytest

from tests.cases import detection_sets
from tests.cases.detection_sets import read
from transfer.errors import InputError


@pytest.fixture(scope="module")
def content():
    return detection_sets.make(0, images=6)


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
