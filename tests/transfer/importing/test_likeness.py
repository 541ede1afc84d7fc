import cv2
import numpy as np
import pytest

from transfer.importing import likeness


def unit(angle):
    descriptor = np.zeros(112)
    descriptor[0], descriptor[1] = np.cos(angle), np.sin(angle)
    return descriptor


def test_a_chain_of_near_pairs_is_one_group_and_sizes_are_apart():
    descriptors = [unit(k * 0.1) for k in (0, 1, 2, 9, 10)]
    assert likeness.group([(8, 8)] * 5, descriptors) == [[0, 1, 2], [3, 4]]
    assert likeness.group([(8, 8)] * 4 + [(8, 9)], descriptors) == [[0, 1, 2], [3], [4]]


def test_a_descriptor_is_four_histograms_of_a_quarter_each():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    squares = likeness.descriptor(image) ** 2
    parts = [squares[:32], squares[32:64], squares[64:96], squares[96:]]
    assert [part.sum() for part in parts] == pytest.approx([0.25] * 4)
    blue = np.histogram(image[..., 2], bins=32, range=(0, 256))[0]
    assert parts[0] == pytest.approx(blue / image[..., 2].size / 4)


def test_a_brighter_frame_is_near_and_another_scene_is_far():
    rng = np.random.default_rng(0)
    scene = cv2.GaussianBlur(rng.integers(0, 200, (64, 64, 3), dtype=np.uint8), (9, 9), 2)
    own = likeness.descriptor(scene)
    near = np.linalg.norm(own - likeness.descriptor(np.roll(scene, 5, axis=1)))
    far = np.linalg.norm(own - likeness.descriptor(255 - scene))
    assert near < likeness.LIMIT < far <= np.sqrt(2)


def test_the_nearest_pair():
    assert likeness.nearest([unit(0), unit(1)], [unit(2), unit(1.2)]) == (1, 1, pytest.approx(2 * np.sin(0.1)))
