"""The backbone that a probe looks at: from its file, or random weights as the baseline to beat."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD, build_backbone, load_backbone


@dataclass(frozen=True)
class Frozen:
    """A backbone to evaluate and what its file says about it; ``about`` goes into the record."""

    backbone: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int | None
    about: dict[str, Any]


def load_frozen(weights: str, seed: int = 0) -> Frozen:
    """A backbone from its file, or from ``random:ARCH[:STEM]`` with ImageNet's normalisation.

    Raises:
        InputError: not such a file, or an unknown architecture or stem.
    """
    kind, _, rest = weights.partition(":")
    if kind == "random":
        arch, _, stem = rest.partition(":")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = build_backbone(arch, stem or "imagenet")
        about = {"file": weights, "sha256": None, "method": None, "arch": arch, "stem": stem or "imagenet"}
        return Frozen(backbone, IMAGENET_MEAN, IMAGENET_STD, None, about)
    path = Path(weights)
    backbone, metadata = load_backbone(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    keys = ("method", "arch", "stem", "epoch", "iteration", "seed", "data")
    about = {"file": weights, "sha256": digest, **{k: metadata.get(k) for k in keys}}
    settings = metadata.get("settings")
    size = settings.get("views", {}).get("size") if isinstance(settings, dict) else None
    return Frozen(backbone, tuple(metadata["mean"]), tuple(metadata["std"]), size, about)
