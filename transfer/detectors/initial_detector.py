"""A whole detector to start from: what fits is taken, heads of other classes are drawn anew, each tensor is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transfer.checkpoints import checkpoint, completeness, names, opened
from transfer.detectors import torchvision_detector
from transfer.detectors.config import lookup, read_config, same
from transfer.detectors.loaded import Loaded
from transfer.detectors.overlay import BOUND, needed_in
from transfer.errors import InputError

DETECTRON2, TORCHVISION = "Detectron2", "torchvision"
# Tensors with rows by class: drawn anew where the file's classes are others in number.
PREDICTORS = (
    "roi_heads.box_predictor.cls_score.",
    "roi_heads.box_predictor.bbox_pred.",
    "roi_heads.mask_head.predictor.",
    "head.cls_score.",
)
# Tensors with channels by anchor: drawn anew where the detector's anchors are others.
ANCHORED = (
    "proposal_generator.rpn_head.objectness_logits.",
    "proposal_generator.rpn_head.anchor_deltas.",
    "head.cls_score.",
    "head.bbox_pred.",
)
ANCHORS = ("MODEL.ANCHOR_GENERATOR.SIZES", "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS")
# What decides, beside the backbone's keys, what the heads' weights compute.
HEAD_KEYS = tuple(torchvision_detector.OVERLAY)
# Computed from the config; files of older versions hold them as well.
_COMPUTED = ("pixel_mean", "pixel_std")
_DETECTOR = ("proposal_generator.", "roi_heads.", "head.")


@dataclass(frozen=True)
class DetectorFile:
    """A detector's tensors.

    Attributes:
        path: the file.
        kind: DETECTRON2 or TORCHVISION.
        state: Detectron2's name -> tensor.
        overlay: config keys that the weights need.
        anchors: sizes and aspect ratios that it was trained with; null where the file does not tell.
    """

    path: Path
    kind: str
    state: dict[str, Tensor]
    overlay: dict[str, Any] = field(default_factory=dict)
    anchors: tuple[Any, Any] | None = None


def read(path: str | Path, cfg: Any, convention: str | None = None) -> DetectorFile:
    """Read a whole detector, without running anything that the file may hold.

    How it was fed is what ``convention`` says; else what the config of the run says that left the file, which lies
    beside it as ``config.yaml``; else, of torchvision's, that project's own.

    Args:
        path: what Detectron2 or torchvision saved: names of a whole detector, alone or under ``model``.
        cfg: the config of the detector that is to start from it.
        convention: a name of ``transfer.checkpoints.layouts.CONVENTIONS``.

    Raises:
        InputError: no such file, no detector, or nobody says how it was fed.
        CheckpointError: not safe to open, or its backbone is not sound.
    """
    path = Path(path)
    state, saved = _state(path), path.parent / "config.yaml"
    if torchvision_detector.is_torchvision(state):
        kind, state = TORCHVISION, torchvision_detector.to_detectron2(state)
    elif any(name.startswith(_DETECTOR) for name in state) and any(name.startswith("backbone.") for name in state):
        kind = DETECTRON2
    else:
        raise InputError(
            f"{path}: expected a whole detector of Detectron2 or torchvision, found none; convert a "
            "backbone by python -m transfer convert and give it by --init"
        )
    completeness.check_finite(state, path.name)
    if kind == DETECTRON2 and convention is None and saved.is_file():
        trained = read_config(saved)
        overlay = {key: lookup(trained, key) for key in (*BOUND, *HEAD_KEYS)}
        return DetectorFile(path, kind, state, overlay, (lookup(trained, ANCHORS[0]), lookup(trained, ANCHORS[1])))
    backbone = checkpoint.read(path, convention=convention)
    if backbone.convention is None:
        raise InputError(
            f"{path}: expected its run's config.yaml beside it, which says how the network was fed, found none; put it "
            "there, or name --convention"
        )
    overlay = needed_in(backbone.metadata, cfg)
    if kind == DETECTRON2:
        return DetectorFile(path, kind, state, overlay)
    anchors = (torchvision_detector.ANCHOR_SIZES, torchvision_detector.ANCHOR_RATIOS)
    return DetectorFile(path, kind, state, overlay | torchvision_detector.OVERLAY, anchors)


def _state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, without what wrappers put into names and what is computed from a config."""
    tree, _ = opened.open_tree(path)
    for key in ("model", "state_dict"):
        if isinstance(tree, Mapping) and isinstance(tree.get(key), Mapping):
            tree = tree[key]
    found = {}
    for key, value in tree.items() if isinstance(tree, Mapping) else ():
        tensor = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        name = names.strip_wrappers(str(key))
        if isinstance(tensor, Tensor) and name not in _COMPUTED and "anchor_generator." not in name:
            found[name] = tensor
    return {name: tensor for name, tensor in found.items() if not name.endswith("num_batches_tracked")}


def fill(model: nn.Module, detector: DetectorFile, cfg: Any) -> Loaded:
    """Copy a detector's tensors into a model of another, or the same, number of classes; count every tensor.

    Every tensor of the model is one of: loaded; drawn anew, which keeps the model's initial value, because it has rows
    for other classes or channels for other anchors; missing, which the file lacks or has in another shape: a fault that
    the caller has to refuse. Every tensor of the file is loaded, drawn anew, misshapen or unused.

    Args:
        model: built from ``cfg``, on any device; wrappers' names are taken off.
        detector: from `read`.
        cfg: the model's config.
    """
    anew = _drawn_anew(model, detector, cfg)
    missing, misshapen, places = [], [], []
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            name = names.strip_wrappers(key)
            if not tensor.is_floating_point() or name in _COMPUTED or "anchor_generator." in name:
                continue
            places.append(name)
            given = detector.state.get(name)
            if name in anew:
                continue
            if given is not None and given.shape == tensor.shape:
                tensor.copy_(given)
            else:
                missing.append(name)
                misshapen += [name] if given is not None else []
    unused = tuple(name for name in detector.state if name not in set(places))
    drawn_anew = tuple(name for name in places if name in anew)
    return Loaded(len(places), tuple(missing), unused, tuple(misshapen), drawn_anew)


def _drawn_anew(model: nn.Module, detector: DetectorFile, cfg: Any) -> set[str]:
    """Names of the model's tensors that a file of other classes, or of other anchors, cannot fill."""
    anew = set()
    shapes = {names.strip_wrappers(key): tensor.shape for key, tensor in model.state_dict().items()}
    other_anchors = detector.anchors is not None and not all(
        same(lookup(cfg, key), value) for key, value in zip(ANCHORS, detector.anchors, strict=True)
    )
    other_classes = any(
        name in detector.state and detector.state[name].shape[0] != shape[0]
        for name, shape in shapes.items()
        if name.startswith(("roi_heads.box_predictor.cls_score.", "head.cls_score."))
    )
    for name, shape in shapes.items():
        if name not in detector.state:
            continue
        if other_classes and name.startswith(PREDICTORS) and detector.state[name].shape != shape:
            anew.add(name)
        if other_anchors and name.startswith(ANCHORED):
            anew.add(name)
    return anew
