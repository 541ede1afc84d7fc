"""A finished run with a mask, which several modules read; nothing may change it."""

import cv2
import numpy as np
import pytest

from pretrain.__main__ import main
from tests.pretrain.training.test_train import CONFIG


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    for k in range(10):
        cv2.imwrite(str(folder / f"{k}.jpg"), rng.integers(0, 255, (40, 50, 3), np.uint8))
    (folder / "tiny.py").write_text(CONFIG)
    return folder


@pytest.fixture(scope="session")
def finished(images, tmp_path_factory):
    work = tmp_path_factory.mktemp("work") / "run"
    assert main([str(images / "tiny.py"), "--data", str(images), "--work-dir", str(work)]) == 0
    return work
