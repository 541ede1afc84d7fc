import numpy as np
import pytest
from pycocotools import mask as coco

from transfer.demo.polygons import mask_to_polygons

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def rasterise(polygons, shape):
    return coco.decode(coco.merge(coco.frPyObjects(polygons, *shape))).astype(bool)


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_pycocotools_rasterises_the_polygons_to_the_very_mask(density):
    rng = np.random.default_rng(0)
    for _ in range(60):
        mask = rng.random(rng.integers(2, 20, 2)) < density  # noise has every hole, island and corner contact
        if mask.any():
            np.testing.assert_array_equal(rasterise(mask_to_polygons(mask), mask.shape), mask)


def test_a_rectangle_is_its_four_corners():
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:4, 2:7] = True
    (polygon,) = mask_to_polygons(mask)
    assert {tuple(polygon[i : i + 2]) for i in range(0, 8, 2)} == {(2, 1), (7, 1), (7, 4), (2, 4)}
    assert len(polygon) == 8


def test_a_ring_is_cut_through_its_hole():
    mask = np.ones((5, 5), dtype=bool)
    mask[2, 2] = False
    polygons = mask_to_polygons(mask)
    assert len(polygons) == 2
    np.testing.assert_array_equal(rasterise(polygons, mask.shape), mask)


def test_parts_that_touch_at_a_corner_are_polygons_of_their_own():
    mask = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=bool)
    polygons = mask_to_polygons(mask)
    assert sorted(len(polygon) for polygon in polygons) == [8] * 5
    np.testing.assert_array_equal(rasterise(polygons, mask.shape), mask)


def test_an_empty_mask_has_no_polygon():
    assert mask_to_polygons(np.zeros((3, 3), dtype=bool)) == []
