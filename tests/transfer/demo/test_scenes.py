import numpy as np
import pytest

from transfer.demo import scenes

INK = np.zeros((8, 8), dtype=np.float32)
INK[:, 2:6] = 1


def compose(n=3, seed=0, value=120):
    shapes = [scenes.Shape(INK, i, 10 + i) for i in range(n)]
    background = np.full((96, 96, 3), value, dtype=np.uint8)
    return scenes.compose(np.random.default_rng(seed), background, shapes, (0.3, 0.5), {"photo": "grey"})


@pytest.mark.parametrize("value", [0, 120, 255])
def test_the_mask_is_where_the_image_changed(value):
    for seed in range(5):
        scene = compose(1, seed, value)
        changed = np.abs(scene.image.astype(int) - value).max(axis=2)
        outside = changed[~scene.masks.any(axis=0)]
        inside = changed[scene.masks.any(axis=0)]
        assert (inside > 15).mean() > 0.95
        assert (outside > 15).mean() < 0.02  # the soft edge, a pixel wide, and nothing else


def test_masks_are_disjoint_and_mostly_visible():
    for seed in range(20):
        scene = compose(3, seed)
        assert scene.masks.sum(axis=0).max() == 1
        assert len(scene.labels) == len(scene.masks) == len(scene.shape_ids) == len(scene.covered)
        alone = compose(1, seed).masks[0]
        assert (scene.masks[0] & ~alone).sum() == 0
        assert scene.masks[0].sum() >= scenes.VISIBLE * alone.sum()
        assert scene.covered[0] == bool((alone & ~scene.masks[0]).any())


def test_render_reaches_the_asked_height_and_is_cut_to_the_stroke():
    ink = scenes.render(INK, 40, 0)
    assert abs(ink.shape[0] - 40) <= 3
    inside = ink >= scenes.INK
    assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
