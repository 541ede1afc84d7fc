import math

import pytest

from transfer.importing import clean, shapes
from transfer.importing.objects import DrawnObject, LabelledImage
from transfer.importing.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SQUARE = [2, 3, 12, 3, 12, 13, 2, 13]
EMPTY = shapes.draw([[0, 0, 0.1, 0, 0.1, 0.1]], 32, 24)


def of(**drawn):
    tally = Tally()
    return clean.entry_of(DrawnObject("cat", "here", **drawn), 32, 24, tally), tally.counts


def test_a_sound_object_is_only_measured():
    entry, counts = of(polygons=[SQUARE])
    assert entry == {"bbox": [2, 3, 10, 10], "area": 100, "iscrowd": 0, "segmentation": [SQUARE]}
    assert not counts
    assert of(box=(2, 3, 10, 10))[0] == {"bbox": [2, 3, 10, 10], "area": 100, "iscrowd": 0}


@pytest.mark.parametrize(
    ("drawn", "rule"),
    [
        ({"polygons": [[1, 2, 3, 4]]}, "short"),
        ({"polygons": [[1, 2, 3, 4, 5, 6, 7]]}, "short"),
        ({"polygons": [[1, 1, 5, 5, 9, 9]]}, "flat"),
        ({"polygons": [[100, 1, 150, 5, 120, 9]]}, "outside"),
        ({"polygons": [[1, 1, 1.1, 1, 1.1, 1.1]]}, "empty mask"),
        ({"code": EMPTY}, "empty mask"),
        ({"box": (1, 1, 0, 5)}, "empty box"),
        ({"box": (1, 1, 5, -5)}, "empty box"),
        ({"box": (40, 1, 5, 5)}, "outside"),
    ],
)
def test_what_is_no_object_is_left_out_and_counted_by_its_reason(drawn, rule):
    entry, counts = of(**drawn)
    assert entry is None
    assert counts == {rule: 1}


def test_bad_parts_go_and_the_object_stays():
    entry, counts = of(polygons=[SQUARE, [1, 1, 5, 5, 9, 9]])
    assert entry["segmentation"] == [SQUARE]
    assert counts == {"flat": 1}


def test_objects_over_the_border_are_clipped():
    entry, counts = of(box=(-4, 3, 10, 30))
    assert entry == {"bbox": [0, 3, 6, 21], "area": 126, "iscrowd": 0}
    assert counts == {"clipped": 1}
    entry, counts = of(polygons=[[-4, 3, 6, 3, 6, 13, -4, 13]])
    assert (entry["bbox"], entry["area"]) == ([0, 3, 6, 10], 60)
    assert counts == {"clipped": 1}
    entry, counts = of(box=(-1, -1, 10, 10))  # tools differ on whether a border pixel counts
    assert (entry["bbox"], counts) == ([0, 0, 9, 9], {})


@pytest.mark.parametrize("area", [0, -1, math.nan, math.inf, 1e6])
def test_an_area_that_no_object_with_this_mask_has_is_its_pixels(area):
    entry, counts = of(polygons=[SQUARE], area=area)
    assert (entry["area"], counts) == (100, {"area": 1})


def test_an_area_that_is_the_boxs_is_the_masks():
    triangle = [2, 3, 12, 3, 2, 13]
    entry, counts = of(polygons=[triangle], box=(2, 3, 10, 10), area=100)  # as Roboflow writes it
    assert entry["area"] == pytest.approx(50, abs=5)
    assert counts == {"area": 1}
    entry, counts = of(polygons=[triangle], box=(2, 3, 10, 10), area=48.5)
    assert (entry["area"], counts) == (48.5, {})


def test_the_given_box_stays_where_it_is_one():
    assert of(polygons=[SQUARE], box=(1, 2, 12, 12))[0]["bbox"] == [1, 2, 12, 12]
    entry, counts = of(polygons=[SQUARE], box=(0, 0, 0, 0))
    assert (entry["bbox"], counts) == ([2, 3, 10, 10], {"box from mask": 1})


def test_an_object_that_is_there_twice_is_there_once():
    drawn = DrawnObject("cat", "here", box=(1, 1, 5, 5))
    image = LabelledImage(None, None, 32, 24, [drawn, drawn, DrawnObject("dog", "there", box=(1, 1, 5, 5))])
    tally = Tally()
    assert [category for category, _ in clean.entries(image, tally)] == ["cat", "dog"]
    assert tally.counts == {"duplicate": 1}


def test_without_masks_the_box_decides():
    image = LabelledImage(
        None,
        None,
        32,
        24,
        [DrawnObject("cat", "a", box=(1, 1, 5, 5), polygons=[[1, 1]]), DrawnObject("cat", "b", polygons=[SQUARE])],
    )
    tally = Tally()
    entries = [entry for _, entry in clean.entries(image, tally, masks=False)]
    assert [entry["bbox"] for entry in entries] == [[1, 1, 5, 5], [2, 3, 10, 10]]
    assert not any("segmentation" in entry for entry in entries)
    assert tally.counts == {"masks": 2}


def test_crowds_and_difficult_objects_keep_their_flags():
    entry, _ = of(box=(1, 1, 5, 5), crowd=True, difficult=True)
    assert (entry["iscrowd"], entry["difficult"]) == (1, 1)
