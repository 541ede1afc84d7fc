"""Room for a whole study: what is needed, and that a full disk is one line before anything is written."""

import shutil
from collections import namedtuple
from dataclasses import replace

import pytest

from tests.cases.studies import SETTINGS, make_steps
from transfer.errors import InputError
from transfer.studies import disk


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10**12, 10**12, 2 * 10**9))
    disk.check_disk(tmp_path / "new/folder", 1e9)
    with pytest.raises(InputError, match=r"expected about 3\.0 GB free for the whole study, found 2\.0 GB"):
        disk.check_disk(tmp_path / "new/folder", 3e9)
    (tmp_path / "new/folder").mkdir(parents=True)
    (tmp_path / "new/folder/file").write_bytes(bytes(2 * 10**6))
    disk.check_disk(tmp_path / "new/folder", 2e9 + 1e6)  # what an earlier call left need not be written again


def test_more_seeds_shares_and_checkpoints_need_more():
    study, arch = make_steps().study, dict.fromkeys(make_steps().study.starts, "resnet18")
    settings = {"simclr": SETTINGS}
    needed = disk.needed(study, settings, arch)
    backbone = 11.2e6 * 4  # bytes of an R18
    assert needed > len(study.starts) * len(study.seeds) * len(study.labels) * 4 * backbone
    assert disk.needed(replace(study, seeds=(0, 1, 2, 3)), settings, arch) == pytest.approx(2 * needed)
    assert disk.needed(replace(study, labels=("10%",)), settings, arch) < needed
    more = {"simclr": {**SETTINGS, "run": {"keep": 4}}}
    assert disk.needed(study, more, arch) == pytest.approx(needed + len(study.seeds) * 2 * 4 * backbone, rel=0.01)
    assert disk.needed(study, settings, {**arch, "moco": "resnet50"}) > needed
