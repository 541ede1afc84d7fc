import itertools

import numpy as np
import pytest

from transfer.drawing import layout
from transfer.evaluation.instances import Instance


def area(polygons):
    """Outer polygons count positive, holes negative (shoelace formula)."""
    total = 0.0
    for x, y in (polygon.T.astype(float) for polygon in polygons):
        total += 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    return abs(total)


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_an_outline_encloses_the_mask(scale):
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:40, 20:60] = True
    mask[20:30, 30:40] = False  # a hole
    assert area(layout.outline(mask, scale)) == pytest.approx(1100 * scale**2, rel=0.03)
    numbers = np.concatenate(layout.outline(mask, scale))
    assert numbers.min(axis=0) == pytest.approx([20 * scale, 10 * scale], abs=0.6)
    assert numbers.max(axis=0) == pytest.approx([60 * scale, 40 * scale], abs=0.6)


def test_masks_at_the_border_and_empty_ones():
    assert area(layout.outline(np.ones((20, 30), dtype=bool), 1.0)) == pytest.approx(600, rel=0.02)
    assert layout.outline(np.zeros((20, 30), dtype=bool), 1.0) == []


def place(*instances, by=1.0, size=(100, 100)):
    return layout.lay_out(instances, {"one": 0, "two": 1}, by, *size)


def test_a_label_stands_above_its_box_and_stays_in_the_picture():
    (shape,) = place(Instance("one", (10, 20, 20, 20), None, 0.5), by=2.0)
    x, y, _, height = shape.label
    assert (x, y + height) == pytest.approx((20, 40))
    assert shape.text == "one 0.50"
    for box in ((0, 0, 100, 100), (95, 0, 5, 5), (95, 95, 5, 5), (-3, -3, 10, 10)):
        (shape,) = place(Instance("two", box, None))
        x, y, width, height = shape.label
        assert min(x, y) >= 0
        assert max(x + width, y + height) <= 100


def test_labels_do_not_cover_each_other_while_there_is_room():
    some = [Instance("one", (10, 40 + i, 20, 20), None, 0.1 + i / 20) for i in range(12)]
    shapes = place(*some)
    assert all(layout._common(a.label, b.label) == 0 for a, b in itertools.combinations(shapes, 2))
    assert shapes[-1].label[1] + shapes[-1].label[3] == pytest.approx(51)  # the best score had the first choice
    crowd = [Instance("one", (10, 40, 20, 20), None, i / 100) for i in range(60)]
    assert all(0 <= shape.label[1] <= 100 - shape.label[3] for shape in place(*crowd))


def test_the_size_of_a_label_is_the_pictures():
    (small,), (large,) = (place(Instance("one", (10, 40, 20, 20), None), size=(side, side)) for side in (100, 400))
    assert large.label[2:] == pytest.approx([4 * v for v in small.label[2:]])
    (flat,) = place(Instance("one", (10, 40, 20, 20), None), size=(400, 100))
    assert flat.label[3] == pytest.approx(12)  # no more than an eighth of a flat picture


def test_the_best_score_comes_last_and_colours_come_round():
    shapes = place(Instance("one", (0, 50, 9, 9), None, 0.9), Instance("two", (50, 50, 9, 9), None, 0.2))
    assert [shape.text for shape in shapes] == ["two 0.20", "one 0.90"]
    assert [shape.colour for shape in shapes] == [1, 0]
    names = [str(i) for i in range(9)]
    assert list(layout.colours(names).values()) == [0, 1, 2, 3, 4, 5, 6, 0, 1]


def test_ink_stands_out_from_every_colour():
    assert [layout.ink(i) for i in range(len(layout.PALETTE))] == ["#000000"] * 4 + ["#ffffff"] + ["#000000"] * 2
