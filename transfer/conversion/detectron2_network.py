"""Run a file in Detectron2: its own backbone and C4 head, filled by its own loader.

Detectron2 is imported inside the functions: only a conversion for it needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transfer.checkpoints.layouts import Convention
from transfer.conversion.networks import Run, imported, normalised
from transfer.detectors.loaded import load_counted
from transfer.detectors.overlay import detectron2_overlay
from transfer.errors import CheckpointError


def run_detectron2(
    path: Path,
    metadata: Mapping[str, Any],
    state: Mapping[str, Tensor],
    images: Tensor,
    head: str,
    *,
    by_suffix: bool = False,
) -> Run:
    """Detectron2's backbone (for C4 with the RoI head's res5), loaded from the file by Detectron2's own loader.

    The pixels are normalised by the config's mean, std and channel order: by the YAML beside the file when there
    is one, so that a wrong overlay fails the proof too.

    Args:
        path: the converted ``.pth``.
        metadata: decoded contract 1 keys.
        state: what the file holds, under bare Detectron2 names.
        images: (N, 3, H, W) RGB pixels in 0-255.
        head: ``fpn`` or ``c4``.
        by_suffix: match names by suffix although the file does not ask for it. Never for a file that is to be
            proven: whether it asks is part of the proof.
    """
    imported("detectron2")
    cfg = _detectron2_config(path, metadata, head)
    model = _detectron2_parts(cfg, head)
    loaded = load_counted(model, str(path), state, by_suffix=by_suffix)
    return Run(_detectron2_features(model.eval(), _as_configured(images, cfg)) if loaded.complete else {}, loaded)


def _detectron2_config(path: Path, metadata: Mapping[str, Any], head: str) -> Any:
    from detectron2.config import get_cfg

    cfg = get_cfg()
    overlay = path.with_suffix(".yaml")
    if overlay.is_file():
        _merge(cfg, overlay)
    else:
        cfg.merge_from_list([part for pair in detectron2_overlay(metadata, head).items() for part in pair])
    # SyncBN needs a process group; in evaluation BN is the same arithmetic.
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["stem", "res2", "res3", "res4"] + (["res5"] if head == "fpn" else [])
    return cfg


def _merge(cfg: Any, overlay: Path) -> None:
    import yaml  # type: ignore[import-untyped]

    try:
        cfg.merge_from_file(str(overlay), allow_unsafe=False)  # the default lets YAML tags run code
    except (yaml.YAMLError, KeyError, ValueError, AssertionError) as error:
        raise CheckpointError(
            f"{overlay} is no overlay: expected Detectron2 config keys, found {str(error).splitlines()[0]}; "
            "convert the weights again"
        ) from error


def _detectron2_parts(cfg: Any, head: str) -> nn.Module:
    """The residual network under the names it has inside a detector, without the detector around it."""
    from detectron2.layers import ShapeSpec
    from detectron2.modeling.backbone import build_resnet_backbone

    from transfer.detectors import parts

    small = cfg.MODEL.BACKBONE.NAME.startswith("build_small_stem")
    build = parts.build_small_stem_resnet_backbone if small else build_resnet_backbone
    bottom_up = build(cfg, ShapeSpec(channels=3))
    modules = nn.ModuleDict()
    if head == "fpn":
        modules["backbone"] = nn.ModuleDict({"bottom_up": bottom_up})
    else:
        modules["backbone"] = bottom_up
        modules["roi_heads"] = nn.ModuleDict({"res5": parts.build_res5(cfg)[0]})
    return modules


def _as_configured(images: Tensor, cfg: Any) -> Tensor:
    mean, std = ([value / 255 for value in values] for values in (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD))
    return normalised(images, Convention(tuple(mean), tuple(std), cfg.INPUT.FORMAT))


def _detectron2_features(model: Any, images: Tensor) -> dict[str, Tensor]:
    with torch.inference_mode():
        if "roi_heads" not in model:
            return model["backbone"]["bottom_up"](images)
        features = model["backbone"](images)
        return {**features, "res5 (RoI head)": model["roi_heads"]["res5"](features["res4"])}
