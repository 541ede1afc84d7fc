import numpy as np
import pytest
from pycocotools import mask as coco_mask

from transfer.data import masks
from transfer.data.rules import Problems

SQUARE = [10, 20, 30, 20, 30, 40, 10, 40]


@pytest.mark.parametrize(
    ("mask", "rule"),
    [
        ([SQUARE], None),
        ([SQUARE, [1.5, 2, 3, 4, 5, 6]], None),
        ([[]], None),  # short, which is counted later
        (SQUARE, "mask flat"),
        ([[[10, 20], [30, 20], [30, 40]]], "mask pairs"),
        ([["10", 20, 30, 20, 30, 40]], "mask text"),
        (["10", "20"], "mask text"),
        ([[None, 1, 2, 3, 4, 5]], "mask kind"),
        ([[True, 1, 2, 3, 4, 5]], "mask kind"),
        ([{"x": 1}], "mask kind"),
        ([[[10, 20, 30]]], "mask kind"),
    ],
)
def test_which_rule_a_list_breaks(mask, rule):
    assert masks.polygons_problem(mask) == rule


def test_a_polygon_has_three_points_or_more():
    assert masks.sound_polygons([SQUARE, [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], []]) == [SQUARE]


def annotation(mask, number=1, box=(10, 20, 20, 20), crowd=0):
    return {"id": number, "bbox": list(box), "iscrowd": crowd, "segmentation": mask}


def checked(*annotations, size=(64, 48)):
    problems = Problems()
    sizes = np.tile(np.array(size, float), (len(annotations), 1))
    return masks.check(list(annotations), sizes, problems), problems


def code(array):
    packed = coco_mask.encode(np.asfortranarray(array))
    return {"size": list(array.shape), "counts": packed["counts"].decode()}


def test_extents_and_areas_of_polygons_and_codes():
    array = np.zeros((48, 64), np.uint8)
    array[5:9, 7:17] = 1
    runs = {"size": [48, 64], "counts": [48 * 64 - 6, 6]}
    two = [SQUARE, [40, 40, 44, 40, 44, 44]]
    shapes, problems = checked(*map(annotation, ([SQUARE], two, code(array), runs)))
    assert problems.counts == {}
    assert shapes.there.all()
    assert shapes.areas.tolist() == [400, 408, 40, 6]
    assert shapes.extents.tolist() == [[10, 20, 30, 40], [10, 20, 44, 44], [7, 5, 17, 9], [63, 42, 64, 48]]


@pytest.mark.parametrize(
    ("mask", "rule"),
    [
        (None, "no mask"),
        ([], "no mask"),
        ("x", "mask text"),
        (5, "mask kind"),
        ({}, "mask kind"),
        ({"size": [48, 64], "counts": []}, "mask kind"),
        ({"size": [64, 48], "counts": [48 * 64]}, "code size"),
        ({"size": [48, 64.0], "counts": [48 * 64]}, "code size"),
        ({"size": [48, 64], "counts": [48 * 64 - 1]}, "code runs"),
        ({"size": [48, 64], "counts": [-1, 48 * 64 + 1]}, "code runs"),
        ({"size": [48, 64], "counts": ["1"]}, "mask text"),
        ({"size": [48, 64], "counts": "ü"}, "code runs"),
        ([[float("nan"), 20, 30, 20, 30, 40]], "mask numbers"),
        ([[10**400, 20, 30, 20, 30, 40]], "mask numbers"),
        ([[2e8, 20, 30, 20, 30, 40]], "mask reach"),
        ([[70, 20, 30, 20, 30, 40]], "mask outside"),
        ([[1, 2, 3, 4]], "empty mask"),
        ({"size": [48, 64], "counts": [48 * 64]}, "empty mask"),
    ],
)
def test_each_kind_of_fault_is_counted_once_with_its_annotation(mask, rule):
    _, problems = checked(annotation(mask, number=17))
    assert problems.counts == {rule: 1}
    assert "annotation 17" in problems.examples[rule]


def test_as_many_run_length_masks_as_one_likes():
    widths = [1 + i % 40 for i in range(600)]  # pycocotools counts the masks of one call in 8 bits
    annotations = []
    for number, width in enumerate(widths):
        array = np.zeros((48, 64), np.uint8)
        array[5:7, 3 : 3 + width] = 1
        annotations.append(annotation(code(array), number, (3, 5, width, 2)))
    shapes, problems = checked(*annotations)
    assert not problems.counts
    assert shapes.areas.tolist() == [2.0 * width for width in widths]


def test_crowds_need_no_mask_and_short_polygons_are_left_out():
    plain = annotation([SQUARE, [1, 2, 3, 4]])
    _, problems = checked(annotation(None, crowd=1), plain)
    assert problems.counts == {"short polygon": 1}
    assert plain["segmentation"] == [SQUARE]


def compared(mask, box):
    one = annotation(mask, box=box)
    shapes, problems = checked(one)
    sizes, boxes = np.array([[64.0, 48.0]]), np.array([box], float)
    masks.compare([one], boxes, sizes, shapes, np.zeros(1, np.bool_), problems)
    return problems.counts


def test_masks_are_compared_with_their_boxes():
    assert compared([SQUARE], (10, 20, 20, 20)) == {}
    assert compared([SQUARE], (8, 18, 24, 24)) == {}
    assert compared([SQUARE], (10, 8, 20, 20)) == {"upside down": 1}
    assert compared([SQUARE], (40, 20, 20, 20)) == {"mask off box": 1}


def test_boxes_that_differ_by_a_few_pixels_are_the_same():
    boxes = np.array([[10.0, 10, 60, 60], [10, 10, 60, 60], [10, 10, 1010, 1010]])
    others = boxes + np.array([[2.5], [3.5], [20]])
    assert masks.close(others, boxes).tolist() == [True, False, True]
