"""The Detectron2 config keys that one set of weights needs, as a flat dictionary and as YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from transfer.checkpoints import resnets
from transfer.errors import InputError

HEADS = ("fpn", "c4")


def detectron2_overlay(metadata: Mapping[str, Any], head: str | None = None) -> dict[str, object]:
    """The config keys without which Detectron2 runs these weights as another network.

    Every one of them has a default that spoils torchvision-style weights and that Detectron2 does not complain
    about (docs/convert.md lists what each costs).

    Args:
        metadata: decoded contract 1 keys: ``arch``, ``stem``, ``mean``, ``std`` (pixels 0-1), ``channel_order`` and,
            when true, ``stride_in_1x1``.
        head: ``fpn`` or ``c4`` adds what only that detector needs; None gives the keys that both share.

    Returns:
        dotted key -> value, in the order of Detectron2's own config.

    Raises:
        InputError: the metadata do not say how the network was fed, or the head does not exist for it.
    """
    spec = _spec(metadata)
    if head not in (None, *HEADS):
        raise InputError(f"no such head: expected one of {', '.join(HEADS)}, found {head}; correct --head")
    keys: dict[str, object] = {
        "INPUT.FORMAT": metadata["channel_order"],
        # Detectron2 feeds pixels in 0-255; rounding undoes 0.485 * 255 = 123.67499999999999.
        "MODEL.PIXEL_MEAN": [round(value * 255, 6) for value in metadata["mean"]],
        "MODEL.PIXEL_STD": [round(value * 255, 6) for value in metadata["std"]],
        "MODEL.BACKBONE.FREEZE_AT": 0,
        "MODEL.RESNETS.DEPTH": spec.depth,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": spec.res2_out_channels,
        "MODEL.RESNETS.STRIDE_IN_1X1": bool(metadata.get("stride_in_1x1", False)),
        "MODEL.RESNETS.NUM_GROUPS": spec.groups,
        "MODEL.RESNETS.WIDTH_PER_GROUP": spec.width,
        "MODEL.RESNETS.NORM": "SyncBN",
        "MODEL.FPN.NORM": "SyncBN",
    }
    if head == "c4" and not spec.bottleneck:
        # Detectron2's own C4 head can only be built of bottlenecks (transfer/detectors/parts.py).
        keys["MODEL.ROI_HEADS.NAME"] = "ExtraNormRes5ROIHeads"
    if metadata.get("stem", "imagenet") == "small":
        keys |= _small_stem(head)
    return keys


def _spec(metadata: Mapping[str, Any]) -> resnets.Spec:
    lacking = [key for key in ("arch", "mean", "std", "channel_order") if metadata.get(key) is None]
    if lacking:
        raise InputError(
            f"no overlay can be written: expected {', '.join(lacking)} in the checkpoint, found nothing; "
            "say how the network was fed with --convention"
        )
    if metadata["arch"] not in resnets.SPECS:
        raise InputError(
            f"no overlay for this architecture: expected one of {', '.join(resnets.SPECS)}, found {metadata['arch']}; "
            "convert a backbone of those"
        )
    return resnets.SPECS[metadata["arch"]]


def _small_stem(head: str | None) -> dict[str, object]:
    """A stride-1 stem gives res2..res5 the strides 1, 2, 4, 8: the builders of transfer/detectors/parts.py know it."""
    if head is None:
        raise InputError(
            "a small stem fits no stock Detectron2 config: expected --head fpn or --head c4, found neither; say which"
        )
    if head == "c4":
        return {"MODEL.BACKBONE.NAME": "build_small_stem_resnet_backbone"}
    return {
        "MODEL.BACKBONE.NAME": "build_small_stem_resnet_fpn_backbone",
        # Detectron2 names pyramid levels by log2 of their stride, so these start at p0.
        "MODEL.RPN.IN_FEATURES": ["p0", "p1", "p2", "p3", "p4"],
        "MODEL.ROI_HEADS.IN_FEATURES": ["p0", "p1", "p2", "p3"],
        "MODEL.ANCHOR_GENERATOR.SIZES": [[8], [16], [32], [64], [128]],
    }


def to_yaml(keys: Mapping[str, object], comment: str = "") -> str:
    """Nested YAML of flat dotted keys; values are written as JSON, which YAML contains."""
    tree: dict[str, Any] = {}
    for dotted, value in keys.items():
        *path, leaf = dotted.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*lines, *_lines(tree, 0)]) + "\n"


def _lines(tree: Mapping[str, Any], depth: int) -> list[str]:
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict):
            lines += [f"{'  ' * depth}{key}:", *_lines(value, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{key}: {json.dumps(value)}")
    return lines
