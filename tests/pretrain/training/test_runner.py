"""The loader and the learning rates; whole trainings are in test_train.py."""

import cv2
import numpy as np
import pytest
import torch

from pretrain.data.order import BatchOrder
from pretrain.data.sources import open_source
from pretrain.settings.schema import load_settings
from pretrain.training.plan import make_plan
from pretrain.training.runner import build_loader


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(10):
        cv2.imwrite(str(tmp_path / f"{k}.png"), rng.integers(0, 255, (20, 30, 3), np.uint8))
    return tmp_path


def batches(images, workers):
    settings = load_settings({"method": "simclr", "data": {"batch": 4, "workers": workers}, "views": {"size": 16}})
    plan = make_plan(settings, open_source([images]), images / "run")
    return list(build_loader(settings, plan, BatchOrder(10, 4, 3, seed=0)))


def test_the_loader_delivers_the_order_whoever_loads(images):
    order = BatchOrder(10, 4, 3, seed=0)
    alone, by_two = batches(images, 0), batches(images, 2)
    for batch, other, chosen in zip(alone, by_two, order, strict=True):
        assert batch["views"].shape == (2, 4, 3, 16, 16)
        assert batch["paths"] == [str(images / f"{k}.png") for _, k in chosen]
        assert torch.equal(batch["views"], other["views"])
        assert batch["paths"] == other["paths"]
