"""Places without an object: of the same shape, inside the image, off every object and crowd, the same every time."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle

from pretrain.probes.object_set import ObjectImage
from pretrain.probes.regions import objects_and_background

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def image(shapes, size=(60, 80), crowds=()):
    """An image with objects of these masks."""
    boxes = []
    for shape in shapes:
        y, x = np.nonzero(shape)
        boxes.append([x.min(), y.min(), x.max() + 1, y.max() + 1])
    codes = tuple(rle.encode(np.asfortranarray(shape.astype(np.uint8))) for shape in shapes)
    labels, crowded = np.zeros(len(shapes), np.int64), np.array(crowds, np.float64).reshape(-1, 4)
    return ObjectImage(Path("x.png"), size, labels, np.array(boxes, np.float64).reshape(-1, 4), codes, crowded)


def disc(y, x, radius, size=(60, 80)):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def drawn(region, size=(60, 80)):
    pixels = np.zeros(size, bool)
    pixels[region.window()] |= region.shape
    return pixels


@pytest.mark.parametrize("masked", [True, False])
def test_places_have_the_objects_shapes_and_meet_none_of_them(masked):
    shapes = [disc(15, 20, 5), disc(40, 50, 7), disc(50, 10, 3)]
    one = image(shapes, crowds=[[60, 0, 80, 30]])
    for seed in range(20):
        objects, places = objects_and_background(one, range(3), np.random.default_rng(seed), masked=masked)
        taken = np.logical_or.reduce([drawn(region) for region in objects])
        taken[:30, 60:] = True
        for region, place in zip(objects, places, strict=True):
            assert np.array_equal(place.shape, region.shape)
            assert not (drawn(place) & taken).any()
            assert np.subtract(place.box, region.box).tolist() == [place.left - region.left, place.top - region.top] * 2


def test_an_object_is_its_mask_or_the_pixels_of_its_box():
    shape = disc(20, 30, 7)
    masked, boxed = (
        objects_and_background(image([shape]), [0], np.random.default_rng(0), masked=m)[0][0] for m in (True, False)
    )
    assert np.array_equal(drawn(masked), shape)
    assert drawn(boxed)[13:28, 23:38].all()
    assert drawn(boxed).sum() == 15 * 15


def test_a_mask_fits_where_its_box_does_not():
    """A ring around an object of the same image: boxes overlap, pixels do not."""
    ring = disc(30, 40, 25) & ~disc(30, 40, 20)
    objects, _ = objects_and_background(image([ring, disc(30, 40, 4)]), [0, 1], np.random.default_rng(0), masked=True)
    assert not (drawn(objects[0]) & drawn(objects[1])).any()


def test_a_full_image_has_no_place():
    _, places = objects_and_background(image([np.ones((60, 80), bool)]), [0], np.random.default_rng(0), masked=True)
    assert places == [None]


def test_the_places_keep_off_objects_that_are_not_wanted_and_depend_on_the_seed():
    one = image([disc(30, 40, 6), np.pad(np.ones((60, 50), bool), ((0, 0), (30, 0)))])
    moves = set()
    for seed in (0, 0, 1, 2):
        _, (place,) = objects_and_background(one, [0], np.random.default_rng(seed), masked=True)
        assert place.left + place.shape.shape[1] <= 30
        moves.add((place.top, place.left))
    assert len(moves) == 3
