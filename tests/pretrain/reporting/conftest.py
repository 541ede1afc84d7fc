"""A finished run with a mask, which several modules read; nothing may change it."""

import pytest

from pretrain.__main__ import main


@pytest.fixture(scope="session")
def finished(tiny_images, tmp_path_factory):
    work = tmp_path_factory.mktemp("work") / "run"
    assert main([str(tiny_images / "tiny.py"), "--data", str(tiny_images), "--work-dir", str(work)]) == 0
    return work
