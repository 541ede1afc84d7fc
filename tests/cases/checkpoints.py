"""Fixtures of the conversion: torchvision networks with lively values, and files in the manner of each project."""

from __future__ import annotations

import argparse
import json
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

State = dict[str, Tensor]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def network(arch: str = "resnet18", seed: int = 0) -> nn.Module:
    """torchvision's network; norms get random values, so that exchanging any two tensors shows."""
    torch.manual_seed(seed)
    model = torchvision.models.get_model(arch, weights=None)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def backbone(model: nn.Module) -> State:
    """Its tensors without classifier and counters: what every conversion must deliver."""
    return {
        name: tensor.detach().clone()
        for name, tensor in model.state_dict().items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }


def assert_same(state: State, expected: State) -> None:
    """The same names in the same order, and the same bits."""
    assert list(state) == list(expected)
    assert all(torch.equal(state[key], expected[key]) for key in expected)


def small_stem(model: nn.Module) -> nn.Module:
    """The CIFAR variant: 3x3 convolution, no pooling."""
    torch.manual_seed(1)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model.eval()


def header(arch: str = "resnet18", **changes: str) -> dict[str, str]:
    """The header of a backbone.safetensors file (docs/design.md, contract 1)."""
    return {
        "format": "pretrain.backbone/1",
        "arch": arch,
        "stem": "imagenet",
        "mean": json.dumps(IMAGENET_MEAN),
        "std": json.dumps(IMAGENET_STD),
        "channel_order": "RGB",
        "method": "metamask",
        "settings": json.dumps({"lr": 0.1}),
        "epoch": "3",
        "iteration": "300",
        "seed": "7",
        "data": json.dumps({"path": "images", "images": 10, "fingerprint": "0123"}),
        "versions": json.dumps({"torch": "2.11.0"}),
    } | changes


def save_own(path: Path, state: State, **changes: str) -> Path:
    save_file(state, path, metadata=header(**changes))
    return path


class Parts(nn.Module):
    """A container whose attributes are given by name, as each project's wrapper module has them."""

    def __init__(self, **parts: nn.Module | Tensor) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)


def ddp(module: nn.Module) -> State:
    """The state dict of a module in DistributedDataParallel, which only adds `module.`."""
    return OrderedDict((f"module.{name}", tensor) for name, tensor in module.state_dict().items())


def compiled(module: nn.Module) -> State:
    return torch.compile(module).state_dict()


def _other() -> nn.Module:
    return network(seed=99)


def _head() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))


def _headless(model: nn.Module) -> nn.Module:
    model.fc = nn.Identity()
    return model


def _sequential(model: nn.Module) -> nn.Module:
    return nn.Sequential(*list(model.children())[:-1])


def _queue() -> Tensor:
    return torch.randn(8, 16)


def _openselfsup(model: nn.Module, **more: Any) -> State:
    encoder = nn.Sequential(_headless(model), _head())
    return Parts(
        encoder_q=encoder, encoder_k=nn.Sequential(_headless(_other()), _head()), backbone=model, **more
    ).state_dict()


def arch_of(model: nn.Module) -> str:
    """What a training script would have written under `arch`."""
    return "resnet50" if hasattr(model.layer1[0], "conv3") else "resnet18"


def lightly_generator(model: nn.Module) -> nn.Module:
    """lightly's ResNetGenerator keeps neither ReLU nor pool as modules, and says `shortcut` for `downsample`."""
    for module in list(model.modules()):
        if getattr(module, "downsample", None) is not None:
            module.shortcut = module.downsample
            del module.downsample
    return nn.Sequential(model.conv1, model.bn1, model.layer1, model.layer2, model.layer3, model.layer4)


# What each project writes, given a torchvision network: name of its row in transfer/checkpoints/layouts.py -> builder.
LAYOUTS: dict[str, Callable[[nn.Module], Any]] = {
    "MoCo v1/v2": lambda m: {
        "epoch": 200,
        "arch": arch_of(m),
        "state_dict": ddp(Parts(encoder_q=m, encoder_k=_other(), queue=_queue(), queue_ptr=torch.zeros(1))),
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.03}]},
    },
    "MoCo v3": lambda m: {
        "state_dict": ddp(Parts(base_encoder=m, momentum_encoder=_other(), predictor=_head())),
        "scaler": {"scale": 1.0},
    },
    "SimSiam": lambda m: {"state_dict": ddp(Parts(encoder=m, predictor=_head()))},
    "BYOL": lambda m: Parts(
        online_encoder=Parts(net=m), target_encoder=Parts(net=_other()), predictor=_head()
    ).state_dict(),
    "PixPro": lambda m: {
        "opt": argparse.Namespace(lr=1.0, batch_size=128),
        "model": ddp(
            Parts(
                encoder=_headless(m),
                projector=_head(),
                encoder_k=_headless(_other()),
                projector_k=_head(),
                value_transform=nn.Conv2d(4, 4, 1),
            )
        ),
        "optimizer": {},
        "epoch": 100,
    },
    "SoCo": lambda m: {
        "opt": argparse.Namespace(lr=1.0),
        "model": ddp(
            Parts(
                encoder=_headless(m),
                neck=_head(),
                projector=_head(),
                predictor=_head(),
                encoder_k=_headless(_other()),
                projector_k=_head(),
            )
        ),
    },
    "PyContrast": lambda m: {
        "model": ddp(Parts(encoder=_headless(m), head=_head())),
        "model_ema": Parts(encoder=_headless(_other()), head=_head()).state_dict(),
        "contrast": {"memory": _queue()},
    },
    "SlotCon": lambda m: {
        "model": ddp(
            Parts(
                encoder_q=_headless(_other()),
                encoder_k=_headless(m),
                projector_k=_head(),
                grouping_q=_head(),
                grouping_k=_head(),
                center=torch.zeros(1, 4),
            )
        )
    },
    "DenseCL": lambda m: {"meta": {}, "state_dict": _openselfsup(m, queue=_queue(), queue2=_queue())},
    "OpenSelfSup / MMSelfSup MoCo": lambda m: {"state_dict": _openselfsup(m, queue=_queue())},
    "OpenSelfSup / MMSelfSup BYOL": lambda m: {
        "state_dict": Parts(
            online_net=nn.Sequential(_headless(m), _head()),
            target_net=nn.Sequential(_headless(_other()), _head()),
            backbone=m,
        ).state_dict()
    },
    "MMSelfSup / MMPretrain / MMEngine": lambda m: {
        "meta": {"epoch": 3},
        "state_dict": Parts(backbone=_headless(m), neck=_head(), head=_head()).state_dict(),
        "message_hub": {},
    },
    "MMEngine (averaged weights)": lambda m: {
        "ema_state_dict": {"steps": torch.tensor(3), **ddp(Parts(backbone=_headless(m)))}
    },
    "VISSL": lambda m: {
        "classy_state_dict": {
            "base_model": {
                "model": {"trunk": Parts(_feature_blocks=_headless(m)).state_dict(), "heads": _head().state_dict()}
            }
        }
    },
    "Barlow Twins": lambda m: {
        "epoch": 3,
        "model": ddp(Parts(backbone=_headless(m), projector=_head(), bn=nn.BatchNorm1d(4, affine=False))),
    },
    "VICReg": lambda m: {"model": ddp(Parts(backbone=_headless(m), projector=_head()))},
    "VICRegL": lambda m: {
        "model": ddp(Parts(backbone=_headless(m), maps_projector=_head(), projector=_head(), classifier=_head()))
    },
    "SwAV": lambda m: {
        f"module.{k}": v for k, v in _headless_with(m, projection_head=_head(), prototypes=_head()).items()
    },
    "DINO (teacher)": lambda m: {
        "student": ddp(Parts(backbone=_headless(_other()), head=_head())),
        "teacher": Parts(backbone=_headless(m), head=_head()).state_dict(),
        "args": argparse.Namespace(arch=arch_of(m)),
    },
    "solo-learn": lambda m: {
        "state_dict": Parts(
            backbone=_headless(m), classifier=_head(), projector=_head(), momentum_backbone=_headless(_other())
        ).state_dict(),
        "pytorch-lightning_version": "1.6",
    },
    "lightly / MetaMask release": lambda m: {
        "state_dict": Parts(backbone=_sequential(m), projection_head=_head()).state_dict()
    },
    "SimCLR re-implementations (nn.Sequential f)": lambda m: Parts(
        f=nn.Sequential(*[c for n, c in small_stem(m).named_children() if n not in ("maxpool", "fc")]), g=_head()
    ).state_dict(),
    "nn.Sequential of a ResNet's children": lambda m: _sequential(m).state_dict(),
    "Hugging Face transformers": lambda m: {to_huggingface_by_hand(k): v for k, v in m.state_dict().items()},
    "torchvision detector": lambda m: Parts(
        backbone=Parts(body=_headless(m), fpn=nn.Conv2d(4, 4, 1)), rpn=_head()
    ).state_dict(),
    "a network with its backbone under model": lambda m: {
        "state_dict": Parts(model=m).state_dict(),
        "pytorch-lightning_version": "2.5.0",
        "hyper_parameters": {"lr": 0.1},
    },
    "torchvision / timm / mmdet (bare names)": lambda m: m.state_dict(),
}


def _headless_with(model: nn.Module, **parts: nn.Module) -> State:
    _headless(model)
    for name, part in parts.items():
        setattr(model, name, part)
    return model.state_dict()


def to_detectron2_by_hand(name: str) -> str:
    """The published renaming, in another way than transfer/checkpoints/names.py: by replacing text, checked by eye."""
    if name.startswith(("conv1.", "bn1.")):
        name = f"stem.{name}"
    for number in (4, 3, 2, 1):
        name = name.replace(f"layer{number}.", f"res{number + 1}.")
        name = name.replace(f".bn{number}.", f".conv{number}.norm.")
    return name.replace("downsample.0.", "shortcut.").replace("downsample.1.", "shortcut.norm.")


def to_huggingface_by_hand(name: str) -> str:
    """transformers' name of a tensor (modeling_resnet.py), by replacing text."""
    if name.startswith("fc."):
        return f"resnet.{name}".replace("resnet.fc", "classifier.1")
    for old, new in (("conv", "convolution"), ("bn", "normalization")):
        name = re.sub(rf"^{old}1\.", f"embedder.embedder.{new}.", name)
        name = re.sub(rf"\.{old}([123])\.", lambda m, new=new: f".layer.{int(m[1]) - 1}.{new}.", name)
    name = name.replace("downsample.0", "shortcut.convolution").replace("downsample.1", "shortcut.normalization")
    return "resnet." + re.sub(r"^layer([1-4])\.(\d+)", lambda m: f"encoder.stages.{int(m[1]) - 1}.layers.{m[2]}", name)


def save_pickle(path: Path, content: Any) -> Path:
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=2)
    return path


class Exploit:
    """A pickle that runs a command when a careless reader opens it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (f"touch {self.marker}",)
