"""Inputs that several folders' tests share; nothing may change them."""

import pytest


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory):
    """A folder of ten small images, and ``tiny.py``, a config that trains on them."""
    import cv2
    import numpy as np

    from tests.cases.tiny_config import CONFIG

    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    for k in range(10):
        cv2.imwrite(str(folder / f"{k}.jpg"), rng.integers(0, 255, (40, 50, 3), np.uint8))
    (folder / "tiny.py").write_text(CONFIG)
    return folder
