"""Results files whose detections are sound one by one and wrong together: measured, and said with counts."""

import logging

import pytest

from transfer.evaluation.detection_doubts import DOUBTS
from transfer.evaluation.evaluate import evaluate

SQUARES = [[8, 30, 20, 20], [40, 4, 20, 20], [20, 20, 20, 20], [2, 40, 20, 20]]


def outline(x, y, w, h):
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def entry(i):
    return {"image_id": i, "category_id": 1, "bbox": SQUARES[i], "segmentation": outline(*SQUARES[i])}


def measured(caplog, change):
    """The AP of boxes and masks, and the lines, of four squares found exactly and then changed."""
    truth = {
        "images": [{"id": i, "width": 64, "height": 64} for i in range(4)],
        "categories": [{"id": 1, "name": "square"}],
        "annotations": [{"id": i, "area": 400, "iscrowd": 0, **entry(i)} for i in range(4)],
    }
    results = [{"score": 0.9 - 0.1 * i, **entry(i)} for i in range(4)]
    results = change(results) or results
    with caplog.at_level(logging.WARNING):
        metrics = evaluate(truth, results).metrics
    return metrics["bbox"]["AP"], metrics["segm"]["AP"], caplog.messages


def test_what_is_right_is_measured_without_a_word(caplog):
    assert measured(caplog, lambda results: None) == (pytest.approx(100), pytest.approx(100), [])


def to_centres(results):
    for one in results:
        x, y, w, h = one["bbox"]
        one["bbox"] = [x + w / 2, y + h / 2, w, h]


def without_area(results):
    results[1]["bbox"][2:] = [0, 0]
    results[1]["bbox"] = [*results[1]["bbox"][:2], 0, 0]


def mask_elsewhere(results):
    results[2]["segmentation"] = outline(0, 0, 9, 9)


def many_of_one_score(results):
    return [{**one, "score": 0.5, "bbox": [v + i for v in one["bbox"]]} for one in results for i in range(3)]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda results: results + results[:2], "2 of 6 detections repeat another one, number by number"),
        (lambda results: results[:1], "3 of 4 images with objects are without any detection (first: image 1)"),
        (to_centres, "4 of 4 masks lie outside their own box (first: detection 0)"),
        (mask_elsewhere, "1 of 4 masks lie outside their own box (first: detection 2)"),
        (lambda results: [{**r, "bbox": [0, 0, 0, 0]} for r in results], "4 of 4 boxes are without area"),
        (many_of_one_score, "12 of 12 detections have one and the same score"),
    ],
)
def test_each_doubt_is_one_line_with_its_count(caplog, change, line):
    _, _, lines = measured(caplog, change)
    assert any(line in said for said in lines), lines
    assert all(said.startswith("the detections given: ") for said in lines)


def test_the_first_of_two_equal_detections_is_the_one_that_counts(caplog):
    _, _, lines = measured(caplog, lambda results: [results[3], *results])
    assert lines == [
        "the detections given: 1 of 5 detections repeat another one, number by number (first: detection 4): "
        f"{DOUBTS['detections repeat another one, number by number']}"
    ]


def test_objects_without_a_mask_leave_masks_unmeasured_and_it_is_said(caplog):
    truth = {
        "images": [{"id": i, "width": 64, "height": 64} for i in range(4)],
        "categories": [{"id": 1, "name": "square"}],
        "annotations": [{"id": i, "area": 400, "iscrowd": 0, **entry(i)} for i in range(4)],
    }
    truth["annotations"][2]["segmentation"] = []
    with caplog.at_level(logging.WARNING):
        metrics = evaluate(truth, [{"score": 0.9 - 0.1 * i, **entry(i)} for i in range(4)]).metrics
    assert (metrics["bbox"]["AP"], metrics["segm"]["AP"]) == (pytest.approx(100), None)
    assert caplog.messages == ["the ground truth given: 1 of 4 objects are without a mask: no masks are measured"]
