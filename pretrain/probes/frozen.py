"""The backbone that a probe looks at: from its file, or random weights as the baseline to beat."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD, build_backbone, feature_width, load_backbone
from pretrain.errors import InputError
from pretrain.mask_file import final_mask

AS_IS = "as-is"  # ends the name of random weights whose batch norms are to stay as they were made


@dataclass(frozen=True)
class Frozen:
    """A backbone to evaluate and what its file says about it.

    Attributes:
        backbone: normalised RGB images (N, 3, H, W) -> features (N, D), under the mask where that was asked for.
        mean, std: of the normalisation, RGB, for pixels in 0-1.
        size: side of the views it was trained on, pixels; None where the file does not say.
        about: goes into the record.
        unset: whether its batch norms' running statistics were never set and should be, from images.
    """

    backbone: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int | None
    about: dict[str, Any]
    unset: bool = False


class Masked(nn.Module):
    """A backbone whose features are multiplied by MetaMask's weights, ``h ⊙ M``: (N, 3, H, W) -> (N, D)."""

    mask: Tensor

    def __init__(self, backbone: nn.Module, mask: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("mask", mask)

    def forward(self, images: Tensor) -> Tensor:
        """The masked features of normalised images."""
        h: Tensor = self.backbone(images)
        return h * self.mask


def load_frozen(weights: str, seed: int = 0, *, masked: bool = False) -> Frozen:
    """A backbone from its file, or from ``random:ARCH[:STEM][:as-is]`` with ImageNet's normalisation.

    Args:
        weights: the file's path, or the name of random weights.
        seed: of random weights.
        masked: multiply the features by the mask in ``mask.json`` beside the file.

    Raises:
        InputError: not such a file, an unknown architecture or stem, or no mask where one was asked for.
    """
    kind, _, rest = weights.partition(":")
    if kind == "random":
        if masked:
            raise InputError(f"--masked: expected weights of a method with a mask, found {weights}; leave it out")
        as_is = rest.endswith(f":{AS_IS}")
        arch, _, stem = rest.removesuffix(f":{AS_IS}").partition(":")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = build_backbone(arch, stem or "imagenet")
        about = {"file": weights, "sha256": None, "method": None, "arch": arch, "stem": stem or "imagenet"}
        return Frozen(backbone, IMAGENET_MEAN, IMAGENET_STD, None, about, unset=not as_is)
    path = Path(weights)
    backbone, metadata = load_backbone(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    keys = ("method", "arch", "stem", "epoch", "iteration", "seed", "data")
    about = {"file": weights, "sha256": digest, **{k: metadata.get(k) for k in keys}}
    if masked:
        mask = final_mask(path, metadata.get("iteration"), feature_width(metadata["arch"]))
        backbone = Masked(backbone, torch.tensor(mask))
    settings = metadata.get("settings")
    size = settings.get("views", {}).get("size") if isinstance(settings, dict) else None
    return Frozen(backbone, tuple(metadata["mean"]), tuple(metadata["std"]), size, about)
