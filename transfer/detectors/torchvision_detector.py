"""A Faster or Mask R-CNN of torchvision under Detectron2's names, as far as both compute the same.

What was read in torchvision's ``models/detection`` and Detectron2's ``modeling``, and what follows:

* The same under other names: residual network, FPN, RPN head (one objectness channel an anchor, anchors in the order of
  their aspect ratios, deltas dx, dy, dw, dh), box head, mask head.
* Classes: torchvision's background is class 0, Detectron2's the last one, so its row of ``cls_score`` moves to the end;
  torchvision has rows of ``bbox_pred`` and of the mask predictor for the background too, Detectron2 has none.
* RoIAlign: torchvision's has no half-pixel offset and 2 x 2 samples a bin: Detectron2's ``ROIAlign``, not
  ``ROIAlignV2``, with a sampling ratio of 2. `OVERLAY` says so.
* Not the same, and in no tensor: torchvision rounds the corners of its anchors to whole pixels, and takes the stride of
  the pooled level from the image's size. Boxes of the RPN differ by that. Its published first detectors (COCO_V1) were
  trained with an epsilon of 0 in frozen BatchNorm, Detectron2's is 1e-5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from transfer.checkpoints import names

BODY = "backbone.body."
MARKS = (BODY, "rpn.head.", "roi_heads.box_predictor.")
OVERLAY: dict[str, Any] = {
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2,
    "MODEL.ROI_MASK_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO": 2,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": (10.0, 10.0, 5.0, 5.0),
}
# Side in pixels by level, and height over width, as the constructors set them.
ANCHOR_SIZES = [[32], [64], [128], [256], [512]]
ANCHOR_RATIOS = [[0.5, 1.0, 2.0]]

_RPN = "proposal_generator.rpn_head"
_PARTS = {"cls_logits": "objectness_logits", "bbox_pred": "anchor_deltas"}
_BOX, _MASK = "roi_heads.box_predictor", "roi_heads.mask_head"


def is_torchvision(keys: Iterable[str]) -> bool:
    """Whether names are those of a detector of torchvision."""
    keys = list(keys)
    return all(any(key.startswith(mark) for key in keys) for mark in MARKS)


def to_detectron2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under Detectron2's names, classes in Detectron2's order.

    Args:
        state: of a detector with K classes and the background: ``cls_score`` has K + 1 rows, ``bbox_pred`` 4 (K + 1).

    Returns:
        name -> tensor; what has no name in Detectron2 keeps its own, so that it is counted as unused.
    """
    depth = len(_numbers(state, "rpn.head.conv."))
    linear = [n for n in _numbers(state, "roi_heads.box_head.") if f"roi_heads.box_head.{n}.weight" in state]
    renamed = {}
    for key, tensor in state.items():
        name = _renamed(key, depth, linear) or key
        renamed[name] = _reordered(name, tensor)
    return renamed


def _renamed(key: str, depth: int, linear: list[int]) -> str | None:
    """One name in Detectron2; None for one without a place.

    Args:
        key: torchvision's.
        depth: convolutions of the RPN head; 0 in files from before torchvision 0.13, which have one.
        linear: numbers of the linear layers of a box head with convolutions.
    """
    if key.startswith(BODY):
        inner = names.to_detectron2(key.removeprefix(BODY))
        return inner and f"backbone.bottom_up.{inner}"
    match key.split("."):
        case ["backbone", "fpn", "inner_blocks", level, *leaf]:
            return _layer(f"backbone.fpn_lateral{int(level) + 2}", leaf)
        case ["backbone", "fpn", "layer_blocks", level, *leaf]:
            return _layer(f"backbone.fpn_output{int(level) + 2}", leaf)
        case ["rpn", "head", "conv", leaf]:  # before torchvision 0.13
            return f"{_RPN}.conv.{leaf}"
        case ["rpn", "head", "conv", number, "0", leaf]:
            return f"{_RPN}.conv.{leaf}" if depth == 1 else f"{_RPN}.conv.conv{number}.{leaf}"
        case ["rpn", "head", part, leaf] if part in _PARTS:
            return f"{_RPN}.{_PARTS[part]}.{leaf}"
        case ["roi_heads", "box_head", layer, leaf] if layer in ("fc6", "fc7"):
            return f"roi_heads.box_head.fc{int(layer[2]) - 5}.{leaf}"
        case ["roi_heads", "box_head", number, leaf] if int(number) in linear:  # behind the convolutions of v2
            return f"roi_heads.box_head.fc{linear.index(int(number)) + 1}.{leaf}"
        case ["roi_heads", "box_head", number, *leaf]:
            return _layer(f"roi_heads.box_head.conv{int(number) + 1}", leaf)
        case ["roi_heads", "box_predictor", part, leaf]:
            return f"{_BOX}.{part}.{leaf}"
        case ["roi_heads", "mask_head", layer, leaf] if layer.startswith("mask_fcn"):  # before torchvision 0.13
            return f"{_MASK}.{layer}.{leaf}"
        case ["roi_heads", "mask_head", number, *leaf]:
            return _layer(f"{_MASK}.mask_fcn{int(number) + 1}", leaf)
        case ["roi_heads", "mask_predictor", "conv5_mask", leaf]:
            return f"{_MASK}.deconv.{leaf}"
        case ["roi_heads", "mask_predictor", "mask_fcn_logits", leaf]:
            return f"{_MASK}.predictor.{leaf}"
    return None


def _layer(name: str, leaf: list[str]) -> str | None:
    """A convolution, or the norm behind it: ``0.weight``, ``1.bias``, or ``weight`` alone in older files."""
    match leaf:
        case [inner] | ["0", inner]:
            return f"{name}.{inner}"
        case ["1", inner]:
            return f"{name}.norm.{inner}"
    return None


def _numbers(state: Mapping[str, Tensor], prefix: str) -> list[int]:
    """The numbers of the modules below ``prefix``."""
    first = (key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix))
    return sorted({int(segment) for segment in first if names.is_index(segment)})


def _reordered(name: str, tensor: Tensor) -> Tensor:
    """Rows by class in Detectron2's order: the background last, or without it where Detectron2 has no such row."""
    if name.startswith(f"{_BOX}.cls_score."):
        return torch.cat([tensor[1:], tensor[:1]])
    if name.startswith(f"{_BOX}.bbox_pred."):
        return tensor[4:]
    return tensor[1:] if name.startswith(f"{_MASK}.predictor.") else tensor
