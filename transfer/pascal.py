"""Pascal VOC's average precision, as Detectron2 computes it for every published VOC row, and per class.

Everett et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 2015, section 2: up to 2007 the
precision is read at 11 recalls, from 2010 on the whole area under the curve is taken. Both are at hand here. Where a
difficult object is met the detection counts neither way, and difficult objects need not be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.voc import VocObject

THRESHOLDS = tuple(range(50, 100, 5))  # IoU in percent; Pascal's own is the first, the mean over all is COCO's idea
PerClass = dict[str, float | None]


@dataclass(frozen=True)
class Found:
    """One detection: its image, score in 0-1, and box (left, top, right, bottom) in Pascal's coordinates, from 1."""

    image: str
    score: float
    box: tuple[float, float, float, float]


def rounded(image: str, score: float, box: NDArray[np.floating]) -> Found:
    """Return a detection as Pascal's text files would hold it: score with 3 decimals, box with 1.

    Args:
        image: its name.
        score: in 0-1.
        box: left, top, right, bottom in corner coordinates from 0.
    """
    left, top, right, bottom = (float(f"{value:.1f}") for value in box + np.array([1, 1, 0, 0], dtype=box.dtype))
    return Found(image, float(f"{score:.3f}"), (left, top, right, bottom))


def average_precision(recall: NDArray[np.float64], precision: NDArray[np.float64], *, eleven_point: bool) -> float:
    """Return the AP in 0-1 of a precision-recall curve, both in the order of falling score.

    Args:
        recall: (N,) rising.
        precision: (N,).
        eleven_point: the mean of the best precision at a recall of at least 0, 0.1, ..., 1, as in 2007; otherwise the
            area under the curve of the best precision at each recall.
    """
    if eleven_point:
        reached = [precision[recall >= t] for t in np.arange(0.0, 1.1, 0.1)]
        return float(sum(part.max() / 11 if part.size else 0.0 for part in reached))
    best = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate(([0.0], recall)))
    return float((steps * best).sum())


def curve(
    detections: list[Found], truth: Mapping[str, list[VocObject]], threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return (recall, precision) of one class, in the order of falling score; None when no object counts.

    Args:
        detections: of the class.
        truth: image -> its objects of the class, for every image.
        threshold: the IoU (0-1) above which a detection finds an object.
    """
    counted = sum(not entry.difficult for entries in truth.values() for entry in entries)
    if not counted:
        return None
    scores = np.array([found.score for found in detections])
    taken: set[tuple[str, int]] = set()
    true, false = np.zeros(len(detections)), np.zeros(len(detections))
    for place, i in enumerate(np.argsort(-scores)):  # numpy's default sort, as Detectron2's: ties fall alike
        found = detections[i]
        best, overlap = _nearest(found, truth[found.image])
        if overlap <= threshold:
            false[place] = 1
        elif not truth[found.image][best].difficult:
            key = (found.image, best)
            true[place], false[place] = key not in taken, key in taken
            taken.add(key)
    hits, misses = true.cumsum(), false.cumsum()
    return hits / counted, hits / np.maximum(hits + misses, np.finfo(np.float64).eps)


def _nearest(found: Found, objects: list[VocObject]) -> tuple[int, float]:
    """Return (number of the object that overlaps most, its IoU); pixels at both ends of a box count."""
    if not objects:
        return -1, -1.0
    boxes = np.array([[int(v) for v in entry.box] for entry in objects], dtype=float)
    box = np.array(found.box)
    inner = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]) + 1
    common = np.maximum(inner, 0).prod(axis=1)
    union = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1) + (box[2:] - box[:2] + 1).prod() - common
    overlaps = common / union
    best = int(overlaps.argmax())
    return best, float(overlaps[best])


def per_class(
    detections: Mapping[str, list[Found]], truth: Mapping[str, tuple[VocObject, ...]], classes: list[str]
) -> dict[bool, dict[int, PerClass]]:
    """Return the AP of every class in percent at each of ``THRESHOLDS``, by both definitions.

    Args:
        detections: class -> what was found.
        truth: image -> its objects, for every image.
        classes: all class names.

    Returns:
        eleven_point -> IoU in percent -> class -> AP, None where the class has no object that counts.
    """
    table: dict[bool, dict[int, PerClass]] = {way: {t: {} for t in THRESHOLDS} for way in (True, False)}
    for name in classes:
        own = {image: [entry for entry in entries if entry.name == name] for image, entries in truth.items()}
        for t in THRESHOLDS:
            points = curve(detections.get(name, []), own, t / 100)
            for way in (True, False):
                ap = None if points is None else 100 * average_precision(*points, eleven_point=way)
                table[way][t][name] = ap
    return table


def summary(table: dict[int, PerClass]) -> dict[str, float]:
    """Return AP (mean over all thresholds), AP50, AP75 and ``AP-CLASS`` in percent; NaN where nothing was to be found.

    Detectron2 lets one class without objects make everything NaN. Here such a class is left out of the means.
    """
    by_threshold = {t: _mean(list(values.values())) for t, values in table.items()}
    found = {"AP": _mean(list(by_threshold.values())), "AP50": by_threshold[50], "AP75": by_threshold[75]}
    for name in table[50]:
        found[f"AP-{name}"] = _mean([values[name] for values in table.values()])
    return {name: float("nan") if value is None else value for name, value in found.items()}


def _mean(values: list[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return float(np.mean(measured)) if measured else None
