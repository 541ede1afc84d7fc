"""The Detectron2 config keys that one set of weights has a say in: the table of them, and the overlay made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

from transfer.checkpoints import resnets
from transfer.errors import InputError

HEADS = ("fpn", "c4")
WEIGHTS, PARTS, PROTOCOL = "weights", "parts", "protocol"


@dataclass(frozen=True)
class Facts:
    """What decides the values: the weights' metadata, their architecture, and the detector's head (None for any)."""

    metadata: Mapping[str, Any]
    spec: resnets.Spec
    head: str | None

    @property
    def small_stem(self) -> bool:
        """The 3x3 stem of stride 1, behind which res2..res5 have the strides 1, 2, 4, 8."""
        return self.metadata.get("stem", "imagenet") == "small"

    @property
    def small_pyramid(self) -> bool:
        """A feature pyramid on that stem."""
        return self.small_stem and self.head == "fpn"


@dataclass(frozen=True)
class Key:
    """One config key.

    Attributes:
        name: dotted.
        owner: WEIGHTS (fixed by the pretraining; another value makes the weights worth little, and Detectron2 does not
            complain), PARTS (what Detectron2 must build to hold them; a config that builds it already keeps its own)
            or PROTOCOL (the config's own: a run from random weights must train under the same).
        value: from the facts; None where the key is not needed.
        cost: of a wrong value, in words.
    """

    name: str
    owner: str
    value: Callable[[Facts], object]
    cost: str


def _pixels(values: list[float]) -> list[float]:
    """Detectron2 feeds pixels in 0-255; rounding undoes 0.485 * 255 = 123.67499999999999."""
    return [round(value * 255, 6) for value in values]


_SMALL_BACKBONES = {"c4": "build_small_stem_resnet_backbone", "fpn": "build_small_stem_resnet_fpn_backbone"}
_NO_PLACE = "the 3x3 convolutions have another shape, are skipped and stay random"
_LEVELS = "Detectron2 names pyramid levels by log2 of their stride, so those of a small stem start at p0"

# In the order of the file that `convert` writes.
KEYS = (
    Key("INPUT.FORMAT", WEIGHTS, lambda f: f.metadata["channel_order"],
        "the first convolution gets red for blue and every colour feature is wrong (about 1-2 AP)"),
    Key("MODEL.PIXEL_MEAN", WEIGHTS, lambda f: _pixels(f.metadata["mean"]),
        "all running means of the network belong to another input"),
    Key("MODEL.PIXEL_STD", WEIGHTS, lambda f: _pixels(f.metadata["std"]),
        "inputs off by a factor of up to 58 make the pretrained features useless, or the loss NaN"),
    Key("MODEL.BACKBONE.FREEZE_AT", PROTOCOL, lambda f: 0,
        "the published protocols tune all layers: frozen ones cost self-supervised weights several AP"),
    Key("MODEL.RESNETS.DEPTH", WEIGHTS, lambda f: f.spec.depth,
        "most tensors find no place and stay random, with a warning only"),
    Key("MODEL.RESNETS.RES2_OUT_CHANNELS", WEIGHTS, lambda f: f.spec.res2_out_channels,
        "tensors of another shape are skipped and stay random"),
    Key("MODEL.RESNETS.STRIDE_IN_1X1", WEIGHTS, lambda f: bool(f.metadata.get("stride_in_1x1", False)),
        "the weights load, and compute another network than the one that was trained"),
    Key("MODEL.RESNETS.NUM_GROUPS", WEIGHTS, lambda f: f.spec.groups, _NO_PLACE),
    Key("MODEL.RESNETS.WIDTH_PER_GROUP", WEIGHTS, lambda f: f.spec.width, _NO_PLACE),
    Key("MODEL.RESNETS.NORM", PROTOCOL, lambda f: "SyncBN",
        "the running statistics of the weights have no place and the features are not normalised as trained"),
    Key("MODEL.FPN.NORM", PROTOCOL, lambda f: "SyncBN",
        "the published protocol has it; without it training loses about 2 AP or diverges"),
    # Detectron2's own C4 head can only be built of bottlenecks (transfer/detectors/parts.py).
    Key("MODEL.ROI_HEADS.NAME", PARTS,
        lambda f: "ExtraNormRes5ROIHeads" if f.head == "c4" and not f.spec.bottleneck else None,
        "res5 stays random: about 7 AP in the literature"),
    Key("MODEL.BACKBONE.NAME", PARTS, lambda f: _SMALL_BACKBONES[f.head or ""] if f.small_stem else None,
        "the 3x3 stem finds no place and stays random"),
    Key("MODEL.RPN.IN_FEATURES", PARTS, lambda f: ["p0", "p1", "p2", "p3", "p4"] if f.small_pyramid else None,
        _LEVELS),
    Key("MODEL.ROI_HEADS.IN_FEATURES", PARTS, lambda f: ["p0", "p1", "p2", "p3"] if f.small_pyramid else None,
        _LEVELS),
    Key("MODEL.ANCHOR_GENERATOR.SIZES", PARTS,
        lambda f: [[8], [16], [32], [64], [128]] if f.small_pyramid else None,
        "anchors four times as large as the objects of their level"),
)  # fmt: skip
# What the pretraining fixed, of every set of weights.
BOUND = tuple(key.name for key in KEYS if key.owner == WEIGHTS)
COSTS = {key.name: key.cost for key in KEYS}


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
    facts = Facts(metadata, _spec(metadata), head)
    if head not in (None, *HEADS):
        raise InputError(f"no such head: expected one of {', '.join(HEADS)}, found {head}; correct --head")
    if facts.small_stem and head is None:
        raise InputError(
            "a small stem fits no stock Detectron2 config: expected --head fpn or --head c4, found neither; say which"
        )
    values = {key.name: key.value(facts) for key in KEYS}
    return {name: value for name, value in values.items() if value is not None}


def head_of(cfg: Any) -> str | None:
    """Return which head a Detectron2 config builds: ``c4`` with res5 in the RoI head, ``fpn``, or None for another."""
    if "Res5" in cfg.MODEL.ROI_HEADS.NAME:
        return "c4"
    return "fpn" if "fpn" in cfg.MODEL.BACKBONE.NAME else None


def needed_in(metadata: Mapping[str, Any], cfg: Any) -> dict[str, object]:
    """Return what weights change in a protocol's config: keys they own, and parts it does not build for them already.

    Args:
        metadata: as in ``detectron2_overlay``.
        cfg: a resolved Detectron2 config.

    Raises:
        InputError: as ``detectron2_overlay``.
    """
    values = detectron2_overlay(metadata, head_of(cfg))
    own = {key.name for key in KEYS if key.owner == PROTOCOL}
    if cfg.MODEL.ROI_HEADS.NAME != "Res5ROIHeads":
        own.add("MODEL.ROI_HEADS.NAME")  # already one that takes every depth
    if values.get("MODEL.BACKBONE.NAME") == cfg.MODEL.BACKBONE.NAME:  # a small-stem config has levels of its own
        own |= {key.name for key in KEYS if key.owner == PARTS} - {"MODEL.ROI_HEADS.NAME"}
    return {name: value for name, value in values.items() if name not in own}


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


def to_yaml(keys: Mapping[str, object], comment: str = "") -> str:
    """Nested YAML of flat dotted keys, below ``comment``."""
    tree: dict[str, Any] = {}
    for dotted, value in keys.items():
        *path, leaf = dotted.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    text: str = yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, allow_unicode=True)
    return "\n".join([*lines, text])
