"""Pascal VOC's average precision, as Detectron2 computes it for every published VOC row, and per class.

Everett et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 2015, section 2: up to 2007 the
precision is read at 11 recalls, from 2010 on the whole area under the curve is taken. Both are at hand here. Where a
difficult object is met the detection counts neither way, and difficult objects need not be found.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from transfer.evaluation import weighted_ap
from transfer.evaluation.detections import Detections
from transfer.evaluation.objects import Objects, Regions
from transfer.evaluation.weighted_ap import Bools, ClassMatches, Floats, Ints, MatchedClasses

THRESHOLDS = tuple(t / 100 for t in range(50, 100, 5))  # Pascal's own is the first, the mean over all is COCO's idea
ELEVEN = np.arange(0.0, 1.1, 0.1)  # recalls


def match(objects: Objects, detections: Detections, *, eleven_point: bool) -> MatchedClasses:
    """Say of each detection what it counts for at each of ``THRESHOLDS``.

    Args:
        objects: the boxes of a VOC set as ``transfer.data.voc`` writes it, with "difficult" in its annotations.
        detections: with boxes. They and the scores are rounded as Pascal's text files hold them.
        eleven_point: make AP of it as in 2007, otherwise as from 2010 on.
    """
    real = objects.real
    difficult = np.array([bool(a.get("difficult")) for a in real.entries], np.bool_)
    image, category = objects.indices(detections)
    overlap, nearest = _nearest(_rounded_boxes(detections), image, category, real)
    score = np.array([round(s, 3) for s in detections.scores.tolist()])
    by_name = {}
    for k, name in enumerate(objects.truth.classes.values()):
        own = np.flatnonzero(category == k)
        own = own[np.argsort(-score[own])]  # numpy's default sort, as Detectron2's: ties fall alike
        matched, ignored = _counted(overlap[own], nearest[own], difficult)
        count = np.bincount(real.image[(real.category == k) & ~difficult], minlength=len(objects.images))
        by_name[name] = ClassMatches(image[own], score[own], matched, ignored, count)
    return MatchedClasses(objects.images.tolist(), by_name, ELEVEN if eleven_point else None)


def _pascal_boxes(annotations: list[dict[str, Any]]) -> Floats:
    """Return (M, 4) boxes in Pascal's coordinates, whole numbers from 1 with both ends counted."""
    box = np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4)
    corners = np.concatenate([box[:, :2] + 1, box[:, :2] + box[:, 2:]], axis=1)
    cut: Floats = np.trunc(np.round(corners, 6))  # a sum of fractions may fall just short of a whole number
    return cut


def _rounded_boxes(detections: Detections) -> Floats:
    """Return (N, 4) boxes as Pascal's text files hold them: left, top, right, bottom from 1, with one decimal."""
    assert detections.boxes is not None
    corners = np.concatenate(
        [detections.boxes[:, :2], detections.boxes[:, :2] + detections.boxes[:, 2:]], axis=1
    ).astype(np.float32)
    corners += np.array([1, 1, 0, 0], np.float32)  # in the precision in which detectors give and Detectron2 adds
    return np.array([round(v, 1) for v in corners.ravel().tolist()]).reshape(-1, 4)


def _nearest(box: Floats, image: Ints, category: Ints, real: Regions) -> tuple[Floats, Ints]:
    """Return (N,) the highest IoU with an object of the image and class, -1 for none, and the first such object.

    Pixels at both ends of a box count.
    """
    overlap, nearest = np.full(len(box), -1.0), np.full(len(box), -1, np.int64)
    objects = _pascal_boxes(real.entries)
    rows = np.argsort(image, kind="stable")
    start = np.searchsorted(image[rows], np.arange(len(real.start)))
    for i in np.flatnonzero(np.diff(start) * np.diff(real.start)).tolist():
        row, column = rows[start[i] : start[i + 1]], np.arange(real.start[i], real.start[i + 1])
        detected, there = box[row, None], objects[None, column]
        inner = np.minimum(detected[..., 2:], there[..., 2:]) - np.maximum(detected[..., :2], there[..., :2]) + 1
        common = np.maximum(inner, 0).prod(axis=2)
        union = _area(there) + _area(detected) - common
        iou = np.where(category[row, None] == real.category[None, column], common / union, -1.0)
        best = iou.argmax(axis=1)
        overlap[row] = iou[np.arange(len(row)), best]
        nearest[row] = column[best]
    return overlap, nearest


def _area(box: Floats) -> Floats:
    area: Floats = (box[..., 2:] - box[..., :2] + 1).prod(axis=-1)
    return area


def _counted(overlap: Floats, nearest: Ints, difficult: Bools) -> tuple[Bools, Bools]:
    """Return (thresholds, D) which detections are right, and which count neither way; in the order of their scores."""
    above = overlap > np.array(THRESHOLDS)[:, None]
    hard = (nearest >= 0) & difficult[nearest] if difficult.size else np.zeros(len(nearest), np.bool_)
    matched = np.zeros(above.shape, np.bool_)
    for t, there in enumerate(above & ~hard):
        hits = np.flatnonzero(there)
        _, first = np.unique(nearest[hits], return_index=True)  # an object's second detection is wrong
        matched[t, hits[first]] = True
    return matched, above & hard


def summary(matches: MatchedClasses) -> dict[str, float]:
    """Return AP (mean over all thresholds), AP50, AP75 and ``AP-CLASS`` in percent; NaN where nothing was to be found.

    Detectron2 lets one class without objects make everything NaN. Here such a class is left out of the means.
    """
    once = weighted_ap.average_precision(matches, np.ones((1, len(matches.images)), np.int64))
    metrics = {name: float(values[0]) for name, values in weighted_ap.summary(once).items()}
    aps = weighted_ap.per_class(once)[0]
    return metrics | {f"AP-{name}": float(ap) for name, ap in zip(matches.classes, aps, strict=True)}
