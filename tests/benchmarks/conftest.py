"""Inputs that several benchmarks' tests share."""

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Twelve smooth random images."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for k in range(12):
        small = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{k}.png"), cv2.resize(small, (48, 48), interpolation=cv2.INTER_CUBIC))
    return folder
