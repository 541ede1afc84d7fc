"""The weights a detector starts from: what the file needs from the config, and what the model really took from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.utils.file_io import PathManager
from torch import nn

from transfer.checkpoints import checkpoint, opened
from transfer.detectors import config as detector_config
from transfer.detectors import initial_detector
from transfer.detectors.loaded import Loaded, load_counted
from transfer.detectors.overlay import BOUND, needed_in
from transfer.errors import InputError
from transfer.files import atomic


@dataclass(frozen=True)
class InitialWeights:
    """The file a detector starts from.

    Attributes:
        file: as the user gave it.
        path: where it lies.
        sha256: of its bytes, in hexadecimal.
        metadata: what the file says about its pretraining; empty when it says nothing.
        overlay: config keys that the weights need.
        names: of the tensors in a converted file; empty for another.
        whole: whether the file holds a whole detector rather than a backbone.
        by_tensor: a whole detector, perhaps of other classes, that is taken tensor by tensor (``--init-detector``) and
            not by Detectron2's loader.
        convention: how it was fed, where the user says so.
    """

    file: str
    path: Path
    sha256: str
    metadata: dict[str, Any] = field(default_factory=dict)
    overlay: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    whole: bool = False
    by_tensor: bool = False
    convention: str | None = None


def read(file: str, cfg: CfgNode) -> InitialWeights:
    """Read what ``file`` says about itself, and what that asks of ``cfg``.

    Raises:
        InputError: no such file, or not one that Detectron2 loads completely and safely.
    """
    if "://" in file:
        path = Path(PathManager.get_local_path(file))
    else:
        path = Path(file)
    if path.suffix == ".pkl":
        if not file.startswith("detectron2://"):
            # Detectron2 opens .pkl files with Python's pickle, which runs whatever code the file brings.
            raise InputError(
                f"{file}: expected a .pth file, found a pickle, which is not loaded; {_CONVERT.format(file)}"
            )
        return InitialWeights(file, path, atomic.sha256(path))
    tree, _ = opened.open_tree(path)
    state = tree.get("model") if isinstance(tree, dict) else None
    if not isinstance(state, dict) or not any(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(f"{file}: expected Detectron2 weights, found another layout; {_CONVERT.format(file)}")
    if any(name.startswith(("proposal_generator.", "roi_heads.", "head.")) for name in state):
        return InitialWeights(file, path, atomic.sha256(path), overlay=saved_overlay(path.parent), whole=True)
    metadata = checkpoint.converted_metadata(tree)
    if not metadata:
        return InitialWeights(file, path, atomic.sha256(path))
    return InitialWeights(file, path, atomic.sha256(path), metadata, needed_in(metadata, cfg), tuple(state))


def read_detector(file: str, cfg: CfgNode, convention: str | None) -> InitialWeights:
    """Read a whole detector of Detectron2 or torchvision, and what it asks of ``cfg``.

    Raises:
        InputError, CheckpointError: as ``initial_detector.read``.
    """
    detector = initial_detector.read(file, cfg, convention)
    return InitialWeights(
        file, detector.path, atomic.sha256(detector.path), overlay=detector.overlay, whole=True, by_tensor=True,
        convention=convention,
    )  # fmt: skip


def load(model: nn.Module, cfg: CfgNode, start: InitialWeights | None) -> None:
    """Put a run's weights into its model, in this process."""
    if start is not None and start.by_tensor:
        initial_detector.fill(model, initial_detector.read(start.path, cfg, start.convention), cfg)
    else:
        DetectionCheckpointer(model).load(cfg.MODEL.WEIGHTS, checkpointables=[])


_CONVERT = "convert it first: python -m transfer convert {} --to detectron2 --out NEW.pth"


def saved_overlay(folder: Path) -> dict[str, Any]:
    """Return the keys in ``BOUND`` from the config that a run left beside its checkpoints, empty when there is none."""
    saved = folder / "config.yaml"
    if not saved.is_file():
        return {}
    cfg = detector_config.read_config(saved)
    return {key: detector_config.lookup(cfg, key) for key in BOUND}


def check_agreement(cfg: CfgNode, start: InitialWeights, overridden: Mapping[str, Any]) -> None:
    """Raise InputError when an override, or the config's depth, contradicts what the weights were pretrained with.

    Args:
        cfg: before overrides.
        start: the weights.
        overridden: key -> value, as the command line gives them.
    """
    for key in start.overlay if start.by_tensor else BOUND:
        if key not in start.overlay:
            continue
        needed, given = start.overlay[key], overridden.get(key)
        if given is not None and not detector_config.same(given, needed):
            raise InputError(f"override {key}: the weights {start.file} need {needed}, found {given}; leave it out")
    if start.metadata and not cfg.MODEL.RESNETS.NORM.endswith("BN"):
        raise InputError(
            f"MODEL.RESNETS.NORM: expected a BatchNorm (BN, SyncBN, FrozenBN), which {start.file} was trained with, "
            f"found {cfg.MODEL.RESNETS.NORM or 'none'}; take a config with one"
        )
    depth, needed = cfg.MODEL.RESNETS.DEPTH, start.overlay.get("MODEL.RESNETS.DEPTH", cfg.MODEL.RESNETS.DEPTH)
    if depth != needed and "MODEL.RESNETS.DEPTH" not in overridden:
        raise InputError(
            f"{start.file}: expected a ResNet-{depth}, as the config says, found a ResNet-{needed}; "
            f"take a config for it, or add MODEL.RESNETS.DEPTH {needed}"
        )


def count_taken(cfg: CfgNode, start: InitialWeights) -> Loaded:
    """Count what a model built from ``cfg`` takes from ``start``, by the loader that will be used."""
    model = build_model(_on_cpu(cfg))
    if start.by_tensor:
        return initial_detector.fill(model, initial_detector.read(start.path, cfg, start.convention), cfg)
    return load_counted(model, str(start.path), file_names=start.names, whole=start.whole)


def check_complete(tensors: Loaded, start: InitialWeights, allow_partial: bool, *, heads: bool = True) -> None:
    """Raise InputError when tensors would stay random, or go unused, unless that is allowed.

    Args:
        tensors: the count.
        start: what they are of.
        allow_partial: whether it is allowed.
        heads: whether heads may be drawn anew, which a model that is only measured has no use for.
    """
    if tensors.drawn_anew and not heads:
        raise InputError(
            f"{start.file}: expected a detector of the classes that are measured on, found {tensors}; train it first, "
            "without --eval-only"
        )
    if allow_partial or not (tensors.missing or tensors.unused):
        return
    raise InputError(
        f"{start.file}: expected all {tensors.expected} tensors of the {'detector' if start.whole else 'backbone'} and "
        f"no others, found {tensors}; take weights of this architecture, or go on with what fits by --allow-partial"
    )


def _on_cpu(cfg: CfgNode) -> CfgNode:
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "cpu"
    return cfg
