"""Run-length codes that fill their image, and codes that do not, against pycocotools' own encoder."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from transfer.data import rle_check


def codes(n, seed=0):
    """Return n codes of random masks and their numbers of pixels; some masks are empty, some full."""
    rng = np.random.default_rng(seed)
    texts, pixels = [], []
    for i in range(n):
        h, w = map(int, rng.integers(1, 90, 2))
        share = (0.0, 1.0, 0.02, 0.5, 0.98)[i % 5]
        mask = np.asfortranarray(rng.random((h, w)) < share, dtype=np.uint8)
        texts.append(coco_mask.encode(mask)["counts"].decode())
        pixels.append(h * w)
    return texts, np.array(pixels)


def test_what_pycocotools_encodes_is_whole():
    texts, pixels = codes(300)
    assert rle_check.first_broken(texts, pixels) is None
    assert rle_check.first_broken([], np.zeros(0, np.int64)) is None


def test_a_large_image_and_more_codes_than_are_read_at_once():
    mask = np.zeros((3000, 4000), np.uint8, order="F")
    mask[100:2900, 17] = 1  # runs of thousands: numbers of several characters
    code = coco_mask.encode(mask)["counts"].decode()
    n = rle_check._CHUNK + 5
    pixels = np.full(n, 3000 * 4000)
    assert rle_check.first_broken([code] * n, pixels) is None
    pixels[n - 2] += 1
    assert rle_check.first_broken([code] * n, pixels) == n - 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda code: code[:-1],
        lambda code: code + "1",
        lambda code: "",
        lambda code: "~~~~",
        lambda code: code[:-1] + "P",  # the last number goes on
        lambda code: " " + code[1:],  # no character of such a code
        lambda code: "é" + code[1:],
        lambda code: code[:2] + "ooooooo0" + code[2:],  # more bits than a run can have
        lambda code: "O" + code,  # a run of -1
    ],
)
@pytest.mark.parametrize("place", [0, 17, 39])
def test_a_broken_code_is_found_among_whole_ones(spoil, place):
    texts, pixels = codes(40, seed=place)
    texts[place] = spoil(texts[place])
    assert rle_check.first_broken(texts, pixels) == place


def test_a_code_of_another_image_is_found():
    texts, pixels = codes(40)
    pixels[31] += 1
    assert rle_check.first_broken(texts, pixels) == 31
