"""What is odd about the detections of a results file together: said with counts, because an AP alone does not show it.

Each detection may be sound by itself. A file that several processes joined twice, that covers a part of the images, or
whose boxes are of another kind than its masks has a low AP that looks like a weak detector's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from transfer.data.masks import share_inside
from transfer.evaluation.detections import Detections
from transfer.evaluation.ground_truth import GroundTruth

# What the line counts -> what it may come of; docs/checks.md shows the table.
DOUBTS = {
    "detections repeat another one, number by number": "was the file joined twice?",
    "images with objects are without any detection": "were the detections made on a part of the set?",
    "detections have one and the same score": "AP needs their order; were scores written at all?",
    "boxes are without area": "they find nothing; were boxes written at all?",
    "masks lie outside their own box": "are the boxes [x, y, width, height], and the masks of the same image?",
}
_MANY = 10  # detections, from which equal scores are no chance
_MOST_WITHOUT = 0.5  # share of the images with objects; a detector finds nothing in a few
_INSIDE = 0.7  # least share of a mask's extent that lies in its box


def lines(truth: GroundTruth, detected: Detections) -> list[str]:
    """Return one line for each doubt, with its count and the first detection or image, for the log."""
    n = len(detected)
    if not n:
        return []
    empty = _empty(detected)
    counts = {
        "detections repeat another one, number by number": _repeats(detected),
        "detections have one and the same score": np.full(n, n >= _MANY and np.ptp(detected.scores) == 0),
        "boxes are without area": empty,
        "masks lie outside their own box": _off_box(detected, empty),
    }
    texts = [
        f"{int(where.sum())} of {n} {what} (first: detection {int(np.flatnonzero(where)[0])}): {DOUBTS[what]}"
        for what, where in counts.items()
        if where.any()
    ]
    wanted = {a["image_id"] for a in truth.content["annotations"] if not a["iscrowd"]}
    without = sorted(wanted - set(detected.image_ids.tolist()))
    if len(without) > _MOST_WITHOUT * len(wanted):
        what = "images with objects are without any detection"
        first = truth.image_ids[without[0] - 1]
        texts.append(f"{len(without)} of {len(wanted)} {what} (first: image {first}): {DOUBTS[what]}")
    return texts


def _repeats(detected: Detections) -> NDArray[np.bool_]:
    """Return (N,) whether a detection has image, class, score and box of an earlier one; masks are not compared."""
    if detected.boxes is None:
        return np.zeros(len(detected), np.bool_)
    ids = np.stack([detected.image_ids, detected.category_ids], axis=1).astype(np.float64)
    rows = np.concatenate([ids, detected.scores[:, None], detected.boxes], axis=1)
    order = np.lexsort(rows.T)  # stable: of equal rows the first stays first
    same = np.zeros(len(rows), np.bool_)
    same[order[1:]] = (rows[order[1:]] == rows[order[:-1]]).all(1)
    return same


def _empty(detected: Detections) -> NDArray[np.bool_]:
    if detected.boxes is None:
        return np.zeros(len(detected), np.bool_)
    empty: Any = (detected.boxes[:, 2:] <= 0).any(1)
    return np.asarray(empty, np.bool_)


def _off_box(detected: Detections, empty: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (N,) whether less than 70 % of a mask's extent lies in its own box."""
    if detected.boxes is None or detected.masks is None:
        return np.zeros(len(detected), np.bool_)
    extents = np.asarray(coco_mask.toBbox(detected.masks), np.float64).reshape(-1, 4)
    there = (extents[:, 2:] > 0).all(1) & ~empty
    corners = [np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], axis=1) for b in (extents, detected.boxes)]
    off: NDArray[np.bool_] = there & (share_inside(*corners) < _INSIDE)
    return off
