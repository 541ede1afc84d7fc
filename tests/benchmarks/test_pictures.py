import cv2
import numpy as np
import pytest

from benchmarks.pictures import SIZES, jpegs


@pytest.mark.parametrize("kind", SIZES)
def test_the_pictures_are_of_their_size_and_different(kind):
    first, second = jpegs(kind, 2)
    assert first != second
    image = cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (*SIZES[kind][::-1], 3)
    bits = 8 * len(first) / (image.shape[0] * image.shape[1])
    assert 1 < bits < 6  # per pixel, as photographs of this quality have; blown up ones have less
