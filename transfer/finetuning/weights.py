"""The weights a detector starts from: what the file needs from the config, and what the model really took from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.utils.file_io import PathManager

from transfer.checkpoints import checkpoint, opened
from transfer.detectors import config as detector_config
from transfer.detectors import loaded
from transfer.detectors.overlay import detectron2_overlay
from transfer.errors import InputError
from transfer.files import atomic

# Set by how the weights were pretrained: another value makes them worth little, and nothing else would say so.
BOUND = (
    "INPUT.FORMAT",
    "MODEL.PIXEL_MEAN",
    "MODEL.PIXEL_STD",
    "MODEL.RESNETS.DEPTH",
    "MODEL.RESNETS.STRIDE_IN_1X1",
    "MODEL.RESNETS.RES2_OUT_CHANNELS",
)


@dataclass(frozen=True)
class Start:
    """The file a detector starts from.

    Attributes:
        file: as the user gave it.
        path: where it lies.
        sha256: of its bytes, in hexadecimal.
        metadata: what the file says about its pretraining; empty when it says nothing.
        overlay: config keys that the weights need.
        names: of the tensors in a converted file; empty for another.
        whole: whether the file holds a whole detector rather than a backbone.
    """

    file: str
    path: Path
    sha256: str
    metadata: dict[str, Any] = field(default_factory=dict)
    overlay: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Count:
    """How many tensors a model took from a file.

    Attributes:
        loaded: taken.
        expected: the model's own, of the backbone or of the whole detector.
        missing: names of the model's that were not in the file, or of another shape there.
        unused: names of a converted file's that the model has no place for.
    """

    loaded: int
    expected: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def read_start(file: str, cfg: CfgNode) -> Start:
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
        return Start(file, path, atomic.sha256(path))
    tree, _ = opened.open_tree(path)
    state = tree.get("model") if isinstance(tree, dict) else None
    if not isinstance(state, dict) or not any(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(f"{file}: expected Detectron2 weights, found another layout; {_CONVERT.format(file)}")
    if any(name.startswith(("proposal_generator.", "roi_heads.", "head.")) for name in state):
        return Start(file, path, atomic.sha256(path), overlay=saved_overlay(path.parent), whole=True)
    metadata = checkpoint.converted_metadata(tree)
    if not metadata:
        return Start(file, path, atomic.sha256(path))
    return Start(file, path, atomic.sha256(path), metadata, needs(metadata, cfg), tuple(state))


def needs(metadata: Mapping[str, Any], cfg: CfgNode) -> dict[str, Any]:
    """Return the config keys that belong to the weights rather than to the protocol they are measured by.

    Frozen stages and the kind of BatchNorm are the config's: a run from random weights must train under the same ones.
    """
    is_c4 = "Res5" in cfg.MODEL.ROI_HEADS.NAME
    keys = detectron2_overlay(metadata, "c4" if is_c4 else "fpn" if "fpn" in cfg.MODEL.BACKBONE.NAME else None)
    left = {"MODEL.BACKBONE.FREEZE_AT", "MODEL.RESNETS.NORM", "MODEL.FPN.NORM"}
    if cfg.MODEL.ROI_HEADS.NAME != "Res5ROIHeads":
        left.add("MODEL.ROI_HEADS.NAME")  # already one that takes every depth
    if keys.get("MODEL.BACKBONE.NAME") == cfg.MODEL.BACKBONE.NAME:  # a small-stem config has levels of its own
        left |= {"MODEL.RPN.IN_FEATURES", "MODEL.ROI_HEADS.IN_FEATURES", "MODEL.ANCHOR_GENERATOR.SIZES"}
    return {key: value for key, value in keys.items() if key not in left}


_CONVERT = "convert it first: python -m transfer convert {} --to detectron2 --out NEW.pth"


def saved_overlay(folder: Path) -> dict[str, Any]:
    """Return the keys in ``BOUND`` from the config that a run left beside its checkpoints, empty when there is none."""
    saved = folder / "config.yaml"
    if not saved.is_file():
        return {}
    cfg = detector_config.read_config(saved)
    return {key: detector_config.lookup(cfg, key) for key in BOUND}


def check_agreement(cfg: CfgNode, start: Start, overridden: Mapping[str, Any]) -> None:
    """Raise InputError when an override, or the config's depth, contradicts what the weights were pretrained with.

    Args:
        cfg: before overrides.
        start: the weights.
        overridden: key -> value, as the command line gives them.
    """
    for key in BOUND:
        if key not in start.overlay:
            continue
        needed, found = start.overlay[key], overridden.get(key)
        if found is not None and not detector_config.same(found, needed):
            raise InputError(f"override {key}: the weights {start.file} need {needed}, found {found}; leave it out")
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


def count_taken(cfg: CfgNode, start: Start) -> Count:
    """Count what a model built from ``cfg`` takes from ``start``, by Detectron2's own loader.

    Names are no proof: the loader matches suffixes and skips what does not fit with a warning. Here every tensor is
    NaN before it loads, and whatever is NaN afterwards was not in the file.
    """
    model = build_model(_on_cpu(cfg))
    backbone = loaded.backbone_tensors(model)
    state = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    tensors = {name: tensor for name, tensor in state.items() if start.whole or name in backbone}
    with torch.no_grad():
        for tensor in tensors.values():
            tensor.fill_(math.nan)
    DetectionCheckpointer(model).load(str(start.path), checkpointables=[])
    missing = tuple(name for name, tensor in tensors.items() if bool(tensor.isnan().any()))
    taken = {bare for bare, _ in backbone.values()}
    unused = tuple(name for name in start.names if name not in taken)
    return Count(len(tensors) - len(missing), len(tensors), missing, unused)


def check_complete(count: Count, start: Start, allow_partial: bool) -> None:
    """Raise InputError when tensors would stay random, or go unused, unless that is allowed."""
    if allow_partial or not (count.missing or count.unused):
        return
    wrong = [
        f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for names, what in ((count.missing, "missing or of another shape"), (count.unused, "without a place in it"))
        if names
    ]
    raise InputError(
        f"{start.file}: expected all {count.expected} tensors of the {'detector' if start.whole else 'backbone'}, "
        f"found {count.loaded}/{count.expected} ({'; '.join(wrong)}); "
        "take weights of this architecture, or go on with what fits by --allow-partial"
    )


def _on_cpu(cfg: CfgNode) -> CfgNode:
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = "cpu"
    return cfg
