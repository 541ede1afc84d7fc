import argparse
import json
import time

import pytest
import torch
from omegaconf import OmegaConf

from transfer.checkpoints.opened import open_tree
from transfer.checkpoints.settings import Setting, settings_of
from transfer.checkpoints.stand_ins import Inert

MMCV = """model = dict(
    type='MoCo',
    backbone=dict(
        type='ResNet', depth=50, strides=(1, 2, 2, 2),
        norm_cfg=dict(type='SyncBN'), style='caffe'),
    neck=dict(type='Neck', style='other'))
"""


def _rows(tree, header=None):
    return {(row.part, row.key): row.value for row in settings_of(tree, header or {}) if row.of_backbone}


def test_where_settings_lie(tmp_path):
    torch.save(
        {
            "arch": "resnet50",
            "args": argparse.Namespace(model="resnet50d"),
            "cfg": OmegaConf.create({"backbone": {"name": "resnet18"}, "data": {"name": "cifar10"}}),
            "hyper_parameters": {"first_conv": False},
            "optimizer": {"model": "no setting"},
        },
        tmp_path / "x.pth",
    )
    rows = _rows(open_tree(tmp_path / "x.pth")[0])
    assert rows[("", "arch")] == "resnet50"
    assert rows[("args", "model")] == "resnet50d"
    assert rows[("backbone", "name")] == "resnet18"
    assert rows[("hyper_parameters", "first_conv")] is False
    assert ("data", "name") not in rows
    assert ("optimizer", "model") not in rows


JSON = json.dumps({"backbone": {"style": "caffe", "depth": 50, "strides": [1, 2, 2, 2], "more": "x" * 200}})


@pytest.mark.parametrize("text", [MMCV, JSON])
def test_configs_kept_as_text(text):
    rows = _rows({"meta": {"cfg": text}})
    assert rows[("backbone", "style")] == "caffe"
    assert rows[("backbone", "depth")] == 50
    assert list(rows[("backbone", "strides")]) == [1, 2, 2, 2]


def test_headers_of_safetensors():
    assert _rows({}, {"arch": "resnet50"})[("", "arch")] == "resnet50"


def test_what_has_no_end_ends():
    cycle = Inert()
    cycle["_content"] = cycle
    endless = {"args": cycle}
    endless["args"]["again"] = endless
    shared = {"a": 1}
    for _ in range(60):
        shared = {"model": shared, "backbone": shared}
    rows = settings_of({"args": shared, "cfg": endless, "config": "backbone=dict(" + "(" * 100_000}, {})
    assert len(rows) < 100
    many = settings_of({"args": {str(n): n for n in range(100_000)}}, {})
    assert len(many) == 5_000
    assert many[0] == Setting("args", "0", 0, True)


def test_text_made_to_be_slow():
    text = "backbone=" + " " * 500_000 + "backbone=dict(" + "a " * 200_000
    start = time.process_time()
    settings_of({"args": {f"model_{n}": text for n in range(10_000)}}, {})
    assert time.process_time() - start < 5


def test_numbers_in_configs_kept_as_text():
    text = "backbone=dict(a=1e-3, b=0.001, c=.5, d=10, e=True, f=eps, g=3x3, h=1.5)"
    rows = {key: value for (_, key), value in _rows({"meta": {"cfg": text}}).items() if len(key) == 1}
    assert rows == {"a": 1e-3, "b": 1e-3, "c": 0.5, "d": 10, "e": True, "f": "eps", "g": "3x3", "h": 1.5}
