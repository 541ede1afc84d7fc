"""Rules about the model and its weights: what Detectron2 would load wrongly, or not at all.

Each reads a resolved config and yields what it finds; none imports a framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transfer.detectors.overlay import BOUND, COSTS, detectron2_overlay, head_of
from transfer.doctor.findings import ERROR, WARNING, Finding, Situation, value
from transfer.errors import InputError

ALL_STAGES = 5  # stem, res2, ..., res5, as Detectron2 counts FREEZE_AT
SLIGHT = 0.02  # 0.228 for 0.229 is a slip, 1 for 58.395 is a broken run


def weights_disagree(s: Situation) -> Iterator[Finding]:
    """Keys that the weights decide: colour, normalisation, shape of the network."""
    if not s.metadata:
        return
    try:
        needed = detectron2_overlay(s.metadata, head_of(s.cfg) or "fpn")
    except InputError as error:
        yield Finding(
            ERROR, str(error), "MODEL.WEIGHTS", "nobody can say what these weights need", "convert them again"
        )
        return
    for key in BOUND:
        want, configured = needed[key], value(s.cfg, key)
        if key == "MODEL.RESNETS.STRIDE_IN_1X1" and s.cfg.MODEL.RESNETS.DEPTH < 50:
            continue  # basic blocks have no 1x1 to stride in
        if _off(want, configured) > 0:
            level = WARNING if _off(want, configured) < SLIGHT else ERROR
            what = f"expected {want}, as the weights need, found {configured}"
            yield Finding(level, what, key, COSTS[key], f"set it to {want}")
    name = needed.get("MODEL.BACKBONE.NAME", s.cfg.MODEL.BACKBONE.NAME)
    if name != s.cfg.MODEL.BACKBONE.NAME:
        yield Finding(
            ERROR,
            f"expected {name} for the small stem of the weights, found {s.cfg.MODEL.BACKBONE.NAME}",
            "MODEL.BACKBONE.NAME",
            COSTS["MODEL.BACKBONE.NAME"],
            f"set it to {name} and import transfer.register",
        )


def _off(want: Any, configured: Any) -> float:
    """0 for equal, the largest relative difference for numbers, infinity for anything else."""
    if isinstance(want, list):
        if len(want) != len(configured):
            return float("inf")
        return max(
            abs(a - b) / max(abs(a), 1e-9) if abs(a - b) > 1e-3 else 0.0 for a, b in zip(want, configured, strict=True)
        )
    return 0.0 if want == configured else float("inf")


def norms_are_batchnorms(s: Situation) -> Iterator[Finding]:
    """A pretrained BatchNorm network needs BatchNorms to load into."""
    norm = s.cfg.MODEL.RESNETS.NORM
    if s.metadata and not str(norm).endswith("BN"):
        yield Finding(
            ERROR,
            f"expected a BatchNorm (SyncBN, BN, FrozenBN), found {norm!r}",
            "MODEL.RESNETS.NORM",
            COSTS["MODEL.RESNETS.NORM"],
            "set it to SyncBN",
        )


def channel_mean_order(s: Situation) -> Iterator[Finding]:
    """ImageNet's means fall from red to blue: their order tells which channel order was meant."""
    mean, order = list(s.cfg.MODEL.PIXEL_MEAN), s.cfg.INPUT.FORMAT
    falling, rising = mean == sorted(mean, reverse=True), mean == sorted(mean)
    if s.metadata or len(set(mean)) < 3 or order not in ("RGB", "BGR"):
        return
    if (order == "RGB" and rising) or (order == "BGR" and falling):
        meant = "BGR" if rising else "RGB"
        yield Finding(
            ERROR,
            f"expected {meant}, the order of PIXEL_MEAN {mean}, found {order}",
            "INPUT.FORMAT",
            "red is normalised with the mean of blue, and the first convolution gets the wrong colours",
            f"set INPUT.FORMAT to {meant}, or turn the means round",
        )


def frozen(s: Situation) -> Iterator[Finding]:
    """Frozen layers: wrong on random weights, doubtful on self-supervised ones."""
    frozen_keys: list[tuple[str, object, object]] = []
    if s.cfg.MODEL.BACKBONE.FREEZE_AT > 0:
        frozen_keys.append(("MODEL.BACKBONE.FREEZE_AT", s.cfg.MODEL.BACKBONE.FREEZE_AT, 0))
    if s.cfg.MODEL.RESNETS.NORM == "FrozenBN":
        frozen_keys.append(("MODEL.RESNETS.NORM", "FrozenBN", "SyncBN"))
    for key, configured, fix in frozen_keys:
        if not s.has_weights:
            # All stages frozen is a choice: the baseline that frozen pretrained features are compared with.
            level = WARNING if s.cfg.MODEL.BACKBONE.FREEZE_AT >= ALL_STAGES else ERROR
            why = "random layers that never train; from scratch nothing may be frozen"
            yield Finding(
                level, f"expected {fix} without pretrained weights, found {configured}", key, why, f"set it to {fix}"
            )
        elif s.metadata.get("method") != "supervised":
            what = f"expected {fix} for self-supervised weights, found {configured}"
            yield Finding(WARNING, what, key, COSTS["MODEL.BACKBONE.FREEZE_AT"], f"set it to {fix}")


def fpn_norm(s: Situation) -> Iterator[Finding]:
    """An FPN without norms on a backbone whose norms train."""
    if "fpn" in s.cfg.MODEL.BACKBONE.NAME and not s.cfg.MODEL.FPN.NORM and s.cfg.MODEL.RESNETS.NORM != "FrozenBN":
        yield Finding(
            WARNING,
            "expected SyncBN in the pyramid, found no norm",
            "MODEL.FPN.NORM",
            COSTS["MODEL.FPN.NORM"],
            "set it to SyncBN",
        )


def basic_blocks(s: Situation) -> Iterator[Finding]:
    """R18 and R34 have what Detectron2's defaults do not expect."""
    if s.cfg.MODEL.RESNETS.DEPTH >= 50:
        return
    if s.cfg.MODEL.RESNETS.RES2_OUT_CHANNELS != 64:
        what = f"expected 64 for R{s.cfg.MODEL.RESNETS.DEPTH}, found {s.cfg.MODEL.RESNETS.RES2_OUT_CHANNELS}"
        why = "Detectron2 stops when it builds the backbone"
        yield Finding(ERROR, what, "MODEL.RESNETS.RES2_OUT_CHANNELS", why, "set it to 64")
    if s.cfg.MODEL.ROI_HEADS.NAME == "Res5ROIHeads" and s.cfg.MODEL.META_ARCHITECTURE != "RetinaNet":
        yield Finding(
            ERROR,
            "expected a res5 of basic blocks, found Res5ROIHeads, which is built of bottlenecks whatever the depth",
            "MODEL.ROI_HEADS.NAME",
            COSTS["MODEL.ROI_HEADS.NAME"],
            "set it to Res5BasicROIHeads or ExtraNormRes5ROIHeads",
        )


def unregistered(s: Situation) -> Iterator[Finding]:
    """Names that no registry holds: the run stops when the model is built, or after the data was loaded."""
    for key, names in s.registered.items():
        if (name := value(s.cfg, key)) not in names:
            yield Finding(
                ERROR,
                f"expected a registered name, found {name}",
                key,
                "the run stops when the model is built",
                "import the module that registers it, or use one of transfer/detectors/parts.py",
            )


def features(s: Situation) -> Iterator[Finding]:
    """Levels that are asked for and not made."""
    model = s.cfg.MODEL
    if "fpn" in model.BACKBONE.NAME and not set(model.FPN.IN_FEATURES) <= set(model.RESNETS.OUT_FEATURES):
        yield Finding(
            ERROR,
            f"expected the stages of FPN.IN_FEATURES {list(model.FPN.IN_FEATURES)}, "
            f"found {list(model.RESNETS.OUT_FEATURES)}",
            "MODEL.RESNETS.OUT_FEATURES",
            "the pyramid cannot be built",
            "make the two lists the same",
        )
    retina = model.META_ARCHITECTURE == "RetinaNet"
    key = "MODEL.RETINANET.IN_FEATURES" if retina else "MODEL.RPN.IN_FEATURES"
    sizes, levels = len(model.ANCHOR_GENERATOR.SIZES), len(value(s.cfg, key))
    if sizes not in (1, levels):
        yield Finding(
            ERROR,
            f"expected one list of sizes for each of {levels} levels, or one for all, found {sizes}",
            "MODEL.ANCHOR_GENERATOR.SIZES",
            "the anchors cannot be built",
            f"give as many lists as {key} has levels",
        )


RULES = (
    weights_disagree,
    norms_are_batchnorms,
    channel_mean_order,
    frozen,
    fpn_norm,
    basic_blocks,
    unregistered,
    features,
)
