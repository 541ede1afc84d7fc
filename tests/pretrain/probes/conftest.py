"""Coloured images in class folders, and weights to look at them with."""

import pytest
import torch

from pretrain.backbones import build_backbone, save_backbone
from tests.cases.evaluations import ABOUT
from tests.cases.labelled_sets import class_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    class_folder(root / "train")
    class_folder(root / "val", per_class=4, seed=1)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    torch.manual_seed(0)
    save_backbone(path, build_backbone("resnet18", "small"), ABOUT)
    return path
