"""A miniature of CIFAR-10's folders: two classes that colour alone tells apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def cifar10(tmp_path_factory):
    """Folder with train/CLASS (12 images each) and test/CLASS (4 each), 32 px, reddish and bluish noise."""
    folder, rng = tmp_path_factory.mktemp("cifar10"), np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for name, channel in (("red", 2), ("blue", 0)):
            (folder / split / name).mkdir(parents=True)
            for k in range(count):
                image = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8)
                image[..., channel] += 180
                cv2.imwrite(str(folder / split / name / f"{k:02d}.png"), image)
    return folder
