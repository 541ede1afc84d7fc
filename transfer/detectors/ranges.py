"""What the keys of a Detectron2 config that people touch may be set to: one table, for fine-tuning and the doctor.

Detectron2 checks types only: with ``SOLVER.IMS_PER_BATCH -4`` it hangs, with a period of 0 it divides by zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from transfer.errors import InputError

_LARGEST = 2**31 - 1  # what a 32-bit seed, counter or size can hold


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``.

    Attributes:
        low: the least.
        high: the largest.
        above: ``low`` itself is not allowed.
        below: ``high`` itself is not allowed.
    """

    low: float
    high: float = _LARGEST
    above: bool = False
    below: bool = False

    def __contains__(self, value: object) -> bool:
        """Whether a finite number, or every number of a sequence, lies in the range."""
        if isinstance(value, list | tuple):
            return all(item in self for item in value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return self.low <= value <= self.high and not (
            (self.above and value == self.low) or (self.below and value == self.high)
        )

    def __str__(self) -> str:
        """In words."""
        low = f"above {self.low:g}" if self.above else f"{self.low:g} or more"
        if self.high == _LARGEST:
            return low
        return f"{low}, {'below' if self.below else 'at most'} {self.high:g}"


COUNT, NOT_NEGATIVE, POSITIVE = Range(1), Range(0), Range(0, above=True)
SHARE = Range(0, 1)
PIXELS = Range(1, 2**15)

RANGES: dict[str, Range] = {
    "SOLVER.IMS_PER_BATCH": COUNT,
    "SOLVER.REFERENCE_WORLD_SIZE": NOT_NEGATIVE,
    "SOLVER.MAX_ITER": COUNT,
    "SOLVER.STEPS": COUNT,
    "SOLVER.BASE_LR": Range(0, math.inf, above=True),  # however large: a run that diverges says so itself
    "SOLVER.BASE_LR_END": NOT_NEGATIVE,
    "SOLVER.BACKBONE_LR_FACTOR": POSITIVE,
    "SOLVER.GAMMA": Range(0, 1, above=True),
    "SOLVER.MOMENTUM": Range(0, 1, below=True),
    "SOLVER.WEIGHT_DECAY": NOT_NEGATIVE,
    "SOLVER.WEIGHT_DECAY_NORM": NOT_NEGATIVE,
    "SOLVER.WARMUP_ITERS": NOT_NEGATIVE,
    "SOLVER.WARMUP_FACTOR": SHARE,
    "SOLVER.CHECKPOINT_PERIOD": COUNT,
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": POSITIVE,
    "SOLVER.CLIP_GRADIENTS.NORM_TYPE": POSITIVE,
    "SOLVER.BIAS_LR_FACTOR": NOT_NEGATIVE,
    "SOLVER.NUM_DECAYS": NOT_NEGATIVE,
    "SEED": Range(-1),  # -1: none is set
    "VIS_PERIOD": NOT_NEGATIVE,
    "DATALOADER.NUM_WORKERS": Range(0, 1024),
    "DATALOADER.REPEAT_THRESHOLD": SHARE,
    "INPUT.MIN_SIZE_TRAIN": PIXELS,
    "INPUT.MAX_SIZE_TRAIN": PIXELS,
    "INPUT.MIN_SIZE_TEST": Range(0, 2**15),  # 0: the image as it is
    "INPUT.MAX_SIZE_TEST": PIXELS,
    "INPUT.CROP.SIZE": Range(0, 2**15, above=True),
    "TEST.EVAL_PERIOD": NOT_NEGATIVE,
    "TEST.DETECTIONS_PER_IMAGE": COUNT,
    "TEST.PRECISE_BN.NUM_ITER": COUNT,
    "TEST.AUG.MIN_SIZES": PIXELS,
    "TEST.AUG.MAX_SIZE": PIXELS,
    "MODEL.PIXEL_MEAN": Range(-1000, 1000),
    "MODEL.PIXEL_STD": POSITIVE,
    "MODEL.BACKBONE.FREEZE_AT": Range(0, 5),  # stem, res2 ... res5
    "MODEL.FPN.OUT_CHANNELS": COUNT,
    "MODEL.RESNETS.NUM_GROUPS": COUNT,
    "MODEL.RESNETS.WIDTH_PER_GROUP": COUNT,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": COUNT,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": COUNT,
    "MODEL.RESNETS.RES5_DILATION": Range(1, 2),
    "MODEL.ANCHOR_GENERATOR.SIZES": POSITIVE,
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": POSITIVE,
    "MODEL.ANCHOR_GENERATOR.OFFSET": Range(0, 1, below=True),
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": COUNT,
    "MODEL.RPN.POSITIVE_FRACTION": SHARE,
    "MODEL.RPN.NMS_THRESH": SHARE,
    "MODEL.RPN.IOU_THRESHOLDS": SHARE,
    "MODEL.RPN.BBOX_REG_WEIGHTS": POSITIVE,
    "MODEL.RPN.SMOOTH_L1_BETA": NOT_NEGATIVE,
    "MODEL.RPN.LOSS_WEIGHT": NOT_NEGATIVE,
    "MODEL.RPN.BBOX_REG_LOSS_WEIGHT": NOT_NEGATIVE,
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": COUNT,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": COUNT,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": COUNT,
    "MODEL.RPN.POST_NMS_TOPK_TEST": COUNT,
    "MODEL.ROI_HEADS.NUM_CLASSES": COUNT,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": COUNT,
    "MODEL.ROI_HEADS.POSITIVE_FRACTION": SHARE,
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": SHARE,
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": SHARE,
    "MODEL.ROI_HEADS.IOU_THRESHOLDS": SHARE,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": COUNT,
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": NOT_NEGATIVE,
    "MODEL.ROI_BOX_HEAD.NUM_CONV": NOT_NEGATIVE,
    "MODEL.ROI_BOX_HEAD.CONV_DIM": COUNT,
    "MODEL.ROI_BOX_HEAD.NUM_FC": NOT_NEGATIVE,
    "MODEL.ROI_BOX_HEAD.FC_DIM": COUNT,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": POSITIVE,
    "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA": NOT_NEGATIVE,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT": NOT_NEGATIVE,
    "MODEL.ROI_BOX_HEAD.FED_LOSS_NUM_CLASSES": COUNT,
    "MODEL.ROI_BOX_HEAD.FED_LOSS_FREQ_WEIGHT_POWER": NOT_NEGATIVE,
    "MODEL.ROI_BOX_CASCADE_HEAD.IOUS": SHARE,
    "MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS": POSITIVE,
    "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": COUNT,
    "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO": NOT_NEGATIVE,
    "MODEL.ROI_MASK_HEAD.NUM_CONV": NOT_NEGATIVE,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": COUNT,
    "MODEL.RETINANET.NUM_CLASSES": COUNT,
    "MODEL.RETINANET.NMS_THRESH_TEST": SHARE,
    "MODEL.RETINANET.SCORE_THRESH_TEST": SHARE,
    "MODEL.RETINANET.TOPK_CANDIDATES_TEST": COUNT,
    "MODEL.RETINANET.NUM_CONVS": COUNT,
    "MODEL.RETINANET.IOU_THRESHOLDS": SHARE,
    "MODEL.RETINANET.PRIOR_PROB": Range(0, 1, above=True, below=True),
    "MODEL.RETINANET.BBOX_REG_WEIGHTS": POSITIVE,
    "MODEL.RETINANET.FOCAL_LOSS_GAMMA": NOT_NEGATIVE,
    "MODEL.RETINANET.FOCAL_LOSS_ALPHA": Range(-1, 1),  # -1: no weighting
    "MODEL.RETINANET.SMOOTH_L1_LOSS_BETA": NOT_NEGATIVE,
}
# The only lists that may be empty: without steps the learning rate just never drops, and these sizes serve TEST.AUG.
_MAY_BE_EMPTY = ("SOLVER.STEPS", "TEST.AUG.MIN_SIZES")
_LENGTHS = {
    "MODEL.PIXEL_MEAN": 3,
    "MODEL.PIXEL_STD": 3,
    "INPUT.CROP.SIZE": 2,
    "MODEL.RPN.BBOX_REG_WEIGHTS": 4,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": 4,
    "MODEL.RETINANET.BBOX_REG_WEIGHTS": 4,
}


def problems(cfg: Any) -> dict[str, str]:
    """What is out of range in a resolved config: key -> "expected X, found Y"."""
    wrong = {}
    for key, allowed in RANGES.items():
        value = cfg
        for part in key.split("."):
            value = getattr(value, part, None)
        if value is None:  # another version of Detectron2
            continue
        if value not in allowed:
            wrong[key] = f"expected {allowed}, found {value}"
        elif problem := _list_problem(key, value):
            wrong[key] = f"{problem}, found {value}"
    return wrong


def _list_problem(key: str, value: Any) -> str | None:
    """Return what is expected of a list whose numbers are in range, None where it is that."""
    if not isinstance(value, list | tuple):
        return None
    if any(isinstance(item, list | tuple) and not item for item in value) or (not value and key not in _MAY_BE_EMPTY):
        return "expected at least one number in each list"
    length = _LENGTHS.get(key)
    return f"expected {length} numbers" if length is not None and len(value) != length else None


def check(cfg: Any) -> None:
    """Refuse a config with a value that no run can mean.

    Raises:
        InputError: names the first such key.
    """
    for key, problem in problems(cfg).items():
        raise InputError(f"{key}: {problem}; correct it")
