"""Weights to start from: read safely, used completely or not at all, with the normalisation of their training."""

from __future__ import annotations

import dataclasses
import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.backbones import FORMAT, fill_backbone, read_tensors
from pretrain.errors import InputError
from pretrain.settings.schema import Settings

log = logging.getLogger("pretrain")

_CONVERT = "python -m transfer convert FILE --to torchvision"


@dataclass(frozen=True)
class Initial:
    """A backbone's tensors under torchvision names.

    Attributes:
        path: the file.
        tensors: all of them but a classifier's (``fc.*``) and batch norm's counters.
        metadata: what the file says of itself, decoded; {} where it says nothing.
    """

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]

    def fill(self, backbone: nn.Module) -> None:
        """Copy every tensor into the backbone.

        Raises:
            InputError: a tensor is missing, unexpected or of another shape; the backbone is then as it was.
        """
        try:
            fill_backbone(backbone, self.tensors, f"--init {self.path}")
        except InputError as error:
            raise InputError(f"{error}; foreign names: {_CONVERT}") from None
        log.info("started from %s: %d/%d tensors", self.path, len(self.tensors), len(self.tensors))


def read_initial(path: Path) -> Initial:
    """Read ``backbone.safetensors``, or what ``transfer convert --to torchvision`` wrote, or torchvision's own weights.

    Raises:
        InputError: no such file, nothing that can be read safely, no tensors by name, or a network fed otherwise.
    """
    if not path.is_file():
        raise InputError(f"--init: expected a file, found nothing at {path}")
    named, metadata = read_tensors(path) if path.suffix == ".safetensors" else (_read_torch(path), {})
    ours = metadata.get("format") == FORMAT
    metadata = metadata if ours else {}
    order, early = metadata.get("channel_order", "RGB"), metadata.get("stride_in_1x1", False)
    if order != "RGB" or early:
        raise InputError(
            f"--init {path}: expected a network fed RGB that strides in its 3x3, found {order}"
            f"{', striding in the first 1x1' if early else ''}; no backbone here is built so"
        )
    dropped = sorted(k for k in named if k.startswith("fc."))
    if dropped:
        log.info("left out of %s: %s (a classifier)", path, ", ".join(dropped))
    tensors = {k: t for k, t in named.items() if k not in dropped and not k.endswith("num_batches_tracked")}
    return Initial(path, tensors, metadata)


def normalised_as(settings: Settings, initial: Initial) -> Settings:
    """The settings with the mean and std that the weights were trained with, where their file says so."""
    if not {"mean", "std"} <= initial.metadata.keys():
        log.warning(
            "%s does not say how its network was fed: data.mean and data.std stay %s and %s",
            initial.path,
            settings.data.mean,
            settings.data.std,
        )
        return settings
    mean, std = tuple(initial.metadata["mean"]), tuple(initial.metadata["std"])
    if (mean, std) != (settings.data.mean, settings.data.std):
        log.info("data.mean and data.std are %s and %s, from %s", mean, std, initial.path)
    return dataclasses.replace(settings, data=dataclasses.replace(settings.data, mean=mean, std=std))


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        tree = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(
            f"--init {path}: expected tensors by name, found what cannot be read safely "
            f"({(str(error).strip() or type(error).__name__).splitlines()[0]}); run {_CONVERT} first"
        ) from None
    if not isinstance(tree, Mapping) or not tree or not all(isinstance(t, Tensor) for t in tree.values()):
        content = f"a {type(tree).__name__}" + (f" with {', '.join(list(map(str, tree))[:3])}" if tree else "")
        raise InputError(
            f"--init {path}: expected tensors by torchvision's names, found {content}; run {_CONVERT} first"
        )
    return {str(k): t for k, t in tree.items()}
