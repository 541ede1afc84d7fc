"""Run a backbone in torchvision, timm and mmdet: their own networks, their own loaders, stage by stage.

Frameworks are imported inside the functions, so that a conversion needs only the one it writes for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transfer.checkpoints import opened
from transfer.checkpoints.layouts import Convention
from transfer.checkpoints.resnets import STAGES, Spec
from transfer.detectors.loaded import Loaded
from transfer.errors import CheckpointError, InputError


@dataclass(frozen=True)
class Run:
    """What one framework made of one file.

    Attributes:
        features: stage -> (N, C, h, w); a C4 run adds ``res5 (RoI head)``. Empty when not everything was loaded.
        tensors: what the network took from the file.
    """

    features: dict[str, Tensor]
    tensors: Loaded


def torchvision_network(spec: Spec, stem: str = "imagenet", stride_in_1x1: bool = False) -> nn.Module:
    """torchvision's own ResNet without its classifier, on the meta device (no storage: tensors are assigned).

    A small stem and Caffe's stride placement are made from it by replacing the layers they concern.
    """
    from torchvision.models import resnet

    block = resnet.Bottleneck if spec.bottleneck else resnet.BasicBlock
    with torch.device("meta"):
        network = resnet.ResNet(block, list(spec.blocks), groups=spec.groups, width_per_group=spec.width)
        network.fc = nn.Identity()
        if stem == "small":
            network.conv1 = nn.Conv2d(3, spec.base, 3, padding=1, bias=False)
            network.maxpool = nn.Identity()
    if stride_in_1x1 and spec.bottleneck:
        for stage in (network.layer2, network.layer3, network.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, stage[0].conv1.stride
    return network


def run_torchvision_names(network: nn.Module, state: Mapping[str, Tensor], images: Tensor) -> Run:
    """Load torchvision names into a network that has them and return its features, stage by stage.

    The network may be torchvision's, timm's or mmdet's: all three call their layers conv1, bn1, layer1..layer4.
    """
    own = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    misshapen = tuple(key for key in own if key in state and state[key].shape != own[key].shape)
    fitting = {key: value for key, value in state.items() if key not in misshapen}
    keys = network.load_state_dict(fitting, strict=False, assign=True)
    missing = tuple(key for key in keys.missing_keys if key in own)
    loaded = Loaded(len(own), missing, tuple(keys.unexpected_keys), misshapen)
    return Run(_staged(network.eval(), images) if loaded.complete else {}, loaded)


def _staged(network: Any, images: Tensor) -> dict[str, Tensor]:
    activation = network.act1 if hasattr(network, "act1") else network.relu
    with torch.inference_mode():
        x = network.maxpool(activation(network.bn1(network.conv1(images))))
        features = {"stem": x}
        for name, layer in zip(STAGES[1:], ("layer1", "layer2", "layer3", "layer4"), strict=True):
            features[name] = x = getattr(network, layer)(x)
    return features


def normalised(images: Tensor, convention: Convention) -> Tensor:
    """(N, 3, H, W) RGB pixels in 0-255 -> what a network of this convention is fed, float32."""
    ordered = images if convention.channel_order == "RGB" else images.flip(1)
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (convention.mean, convention.std))
    return ((ordered.double() / 255 - mean) / std).float()


def run_timm(path: Path, spec: Spec, images: Tensor) -> Run:
    """timm's network of that name, loaded by timm's own strict checkpoint loader."""
    timm = imported("timm")
    try:
        network = timm.create_model(spec.name, pretrained=False, num_classes=0, checkpoint_path=str(path))
    except RuntimeError as error:  # timm loads strictly: this is its account of what did not fit
        raise CheckpointError(
            f"timm refuses {path}: expected every tensor of {spec.name}, found {str(error).splitlines()[-1].strip()}; "
            "convert it again"
        ) from error
    state = {key: value.clone() for key, value in network.state_dict().items()}
    return run_torchvision_names(network, state, images)


def run_mmdet(path: Path, spec: Spec, images: Tensor, stride_in_1x1: bool) -> Run:
    """mmdet's names, which are torchvision's, under ``state_dict``; its ResNet is arithmetically torchvision's."""
    tree, _ = opened.open_tree(path)
    return run_torchvision_names(torchvision_network(spec, "imagenet", stride_in_1x1), tree["state_dict"], images)


def imported(name: str) -> Any:
    """The framework of that name, or an ``InputError`` that says it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"{name} is not installed: expected it for the proof, found {error}; install {name} or choose another --to"
        ) from error
