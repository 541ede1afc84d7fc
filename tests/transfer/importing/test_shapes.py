import numpy as np
import pytest
from pycocotools import mask as rle

from transfer.importing import shapes

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SQUARE = [2, 3, 12, 3, 12, 13, 2, 13]


def inside(polygon, x, y):
    """Even-odd rule (x, y arrays), written out."""
    result = np.zeros(np.shape(x), bool)
    points = np.reshape(polygon, (-1, 2))
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crosses = (y1 > y) != (y2 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            result ^= crosses & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return result


@pytest.mark.parametrize("seed", range(20))
def test_a_clipped_polygon_covers_what_the_whole_one_covers_inside(seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radii = rng.uniform(5, 40, 9)  # star-shaped, mostly concave
    centre = rng.uniform(-5, 40, 2)
    polygon = np.stack([centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)], 1).ravel().tolist()
    clipped = shapes.clip(polygon, 32, 24)
    x, y = np.meshgrid(np.arange(0.25, 32, 0.5), np.arange(0.25, 24, 0.5))
    expected = inside(polygon, x, y)
    assert (inside(clipped, x, y) == expected).all() if clipped else not expected.any()
    if clipped:
        assert min(clipped) >= 0
        assert shapes.excess(clipped, 32, 24) == pytest.approx(0, abs=1e-9)


def test_a_polygon_inside_is_left_alone_and_one_outside_is_nothing():
    assert shapes.clip(SQUARE, 32, 24) == SQUARE
    assert shapes.clip([v + 100 for v in SQUARE], 32, 24) == []


def test_measures():
    assert shapes.surface(SQUARE) == 100
    assert shapes.surface(SQUARE[::-1]) == 100
    assert shapes.excess(SQUARE, 32, 24) == 0
    assert shapes.excess(SQUARE, 10, 24) == 2
    assert shapes.polygon_extent([SQUARE, [0, 5, 1, 5, 1, 20]]) == (0, 3, 12, 17)


def test_codes_say_what_masks_say():
    mask = np.zeros((24, 32), np.uint8)
    mask[3:13, 2:12] = 255
    code = shapes.encode(mask)
    assert shapes.draw([SQUARE], 32, 24) == code
    assert (shapes.area(code), shapes.extent(code)) == (100, (2, 3, 10, 10))
    assert shapes.merge([code, shapes.draw([[20, 3, 22, 3, 22, 5, 20, 5]], 32, 24)])["size"] == [24, 32]
    counts = {"size": [24, 32], "counts": [2 * 24 + 3, *[10, 14] * 9, 10, 32 * 24 - 2 * 24 - 3 - 10 * 24 + 14]}
    assert shapes.compress(counts) == code
    assert shapes.compress(code) is code
    assert rle.decode(code).sum() == 100


def test_parts_that_overlap_count_once():
    assert shapes.area(shapes.draw([SQUARE, SQUARE], 32, 24)) == 100
