"""COCO's matching at any IoU thresholds, and beside it how near each detection comes to any object of its image.

pycocotools says how many detections are right; resampling asks which, and TIDE of a wrong one which object it stands
for. One IoU of each detection with each object of its image answers both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from transfer.evaluation.detections import Detections
from transfer.evaluation.engines import federated, not_exhaustive, rank
from transfer.evaluation.objects import Objects, Regions
from transfer.evaluation.weighted_ap import Bools, Floats, Ints

FOREGROUND, BACKGROUND = 0.5, 0.1  # TIDE's t_f and t_b
LIMIT = 100  # detections per image and class
PAIRS = 2_000_000  # of a detection and an object at one time: 16 MB an array


@dataclass(frozen=True)
class Matching:
    """N detections by image, class and score, and G objects without crowds, at T thresholds.

    Attributes:
        image: (N,) index of the image, by id.
        score: (N,).
        category: (N,) index of the class, by id.
        object: (T, N) index of the object that the detection is matched to, -1 for none.
        ignored: (T, N) whether the detection counts neither as right nor as wrong.
        same_iou, same_object: (N,) the highest IoU with an object of the same class, and that object (-1 for none).
        other_iou, other_object: (N,) the same for the objects of other classes.
        object_category: (G,) index of the class.
        by_score: (N,) indices of the detections in the order of falling scores, equal ones as pycocotools has them.
        detections: the N detections themselves: without those that the limit or LVIS's rules leave out.
    """

    image: Ints
    score: Floats
    category: Ints
    object: Ints
    ignored: Bools
    same_iou: Floats
    same_object: Ints
    other_iou: Floats
    other_object: Ints
    object_category: Ints
    by_score: Ints
    detections: Detections

    def taken(self) -> Bools:
        """Return (G,) whether a detection is matched to the object, at the first threshold."""
        taken = np.zeros(len(self.object_category), np.bool_)
        taken[self.object[0][self.object[0] >= 0]] = True
        return taken

    def n_objects(self, classes: int) -> Ints:
        """Return (classes,) the number of objects of each class."""
        return np.bincount(self.object_category, minlength=classes)


def match(
    objects: Objects, detections: Detections, thresholds: Sequence[float] = (FOREGROUND,), any_class: bool = False
) -> Matching:
    """Match ``detections`` to ``objects`` as COCO's evaluation does: all areas, 100 detections of a class an image.

    By LVIS's rules where the ground truth has them: 300 detections an image, of the classes that were looked for.

    Args:
        objects: of one task.
        detections: with that task.
        thresholds: T least IoUs of a match, 0-1, rising.
        any_class: a detection may be matched to an object of another class, as a confusion matrix wants it; every
            object then counts as one of the same class.
    """
    truth = objects.truth
    detections = federated(truth, detections)
    image, category = objects.indices(detections)
    order = np.lexsort((-detections.scores, category, image))  # stable
    if truth.protocol != "lvis":
        order = order[rank(image[order], category[order]) < LIMIT]
    detections, image, category = detections.chosen(order), image[order], category[order]
    classes, of_objects = category, objects.real.category
    if any_class:
        order = np.lexsort((-detections.scores, image))  # the best score of all classes has the first choice
        detections, image, category = detections.chosen(order), image[order], category[order]
        classes, of_objects = np.zeros_like(category), np.zeros_like(of_objects)
    near = _Near(of_objects, classes, float(min(thresholds)))
    for part in _pairs(objects.real, image, _places(detections, objects.task)):
        near.add(*part)
    matched = near.matched(thresholds)
    crowd = _in_crowd(objects.crowd, image, category, _places(detections, objects.task))
    ignored = (crowd >= np.array(thresholds)[:, None]) & (matched < 0)
    if open_pairs := not_exhaustive(truth):
        pairs = zip(detections.image_ids.tolist(), detections.category_ids.tolist(), strict=True)
        ignored |= (matched < 0) & np.array([pair in open_pairs for pair in pairs], np.bool_)
    return Matching(
        image=image,
        score=detections.scores,
        category=category,
        object=matched,
        ignored=ignored,
        same_iou=near.iou[0],
        same_object=near.object[0],
        other_iou=near.iou[1],
        other_object=near.object[1],
        object_category=objects.real.category,
        by_score=np.argsort(-detections.scores, kind="stable"),
        detections=detections,
    )


def _places(detections: Detections, task: str) -> Any:
    return detections.boxes if task == "bbox" else detections.masks


Pairs = tuple[Ints, Ints, Floats]


def _pairs(regions: Regions, image: Ints, places: Any) -> Iterator[Pairs]:
    """Give each detection with each object of its image, for some images at a time: (row, column, IoU), each (P,)."""
    start = np.searchsorted(image, np.arange(len(regions.start)))
    detections, objects = np.diff(start), np.diff(regions.start)
    images = np.flatnonzero(detections * objects)
    ends = np.cumsum((detections * objects)[images]) // PAIRS
    for part in np.split(images, np.flatnonzero(np.diff(ends)) + 1):
        if not part.size:
            continue
        iou = [
            coco_mask.iou(places[start[i] : start[i + 1]], regions.places(i), [0] * int(objects[i])).ravel()
            for i in part.tolist()
        ]
        rows = np.concatenate([np.arange(start[i], start[i + 1]) for i in part.tolist()])
        width = objects[image[rows]]
        within = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
        yield np.repeat(rows, width), np.repeat(regions.start[image[rows]], width) + within, np.concatenate(iou)


class _Near:
    """The nearest object of each detection, and those near enough for a match, gathered part by part.

    Attributes:
        iou: (2, N) highest IoU with an object of the same class, and of another one.
        object: (2, N) which, the first of equals; -1 for none.
    """

    def __init__(self, of_objects: Ints, category: Ints, least: float) -> None:
        self._of_objects, self._category, self._least = of_objects, category, least
        self.iou = np.zeros((2, len(category)))
        self.object = np.full((2, len(category)), -1, np.int64)
        self._close: list[Pairs] = []

    def add(self, row: Ints, column: Ints, iou: Floats) -> None:
        """Take all pairs of some detections, which lie together in the order of their rows."""
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        width = np.diff(starts, append=len(row))
        same = self._category[row] == self._of_objects[column]
        for kind, values in enumerate((np.where(same, iou, 0.0), np.where(same, 0.0, iou))):
            best = np.maximum.reduceat(values, starts)
            at = np.flatnonzero(values == np.repeat(best, width))
            at = at[np.diff(row[at], prepend=-1) > 0]  # the first of each row
            self.iou[kind, row[starts]] = best
            self.object[kind, row[starts]] = np.where(best > 0, column[at], -1)
        close = np.flatnonzero(same & (iou >= self._least))
        self._close.append((row[close], column[close], iou[close]))

    def matched(self, thresholds: Sequence[float]) -> Ints:
        """Return (T, N) the object that each detection is matched to, -1 for none."""
        matched = np.full((len(thresholds), len(self._category)), -1, np.int64)
        if not self._close:
            return matched
        row, column, iou = (np.concatenate(part) for part in zip(*self._close, strict=True))
        order = np.lexsort((-column, -iou, row))  # of equal IoUs COCO takes the last
        row, column, iou = row[order], column[order], iou[order]
        for t, threshold in enumerate(thresholds):
            there = iou >= threshold
            _in_turn(row[there], column[there], len(self._of_objects), matched[t])
        return matched


def _in_turn(row: Ints, column: Ints, columns: int, chosen: Ints) -> None:
    """Let each row in turn take the first of its columns that is still free.

    All ask at once and a column keeps the first row that asks; who is sent away asks for the next. As every column
    prefers earlier rows, this ends as it would one by one (Gale and Shapley 1962).

    Args:
        row: (P,) rising.
        column: (P,) what each row asks for, first wishes first.
        columns: how many there are.
        chosen: (N,) takes each row's column.
    """
    at = np.flatnonzero(np.diff(row, prepend=-1))
    who, end = row[at], np.append(at[1:], len(row))
    keeps = np.full(columns, len(chosen))
    while who.size:
        np.minimum.at(keeps, column[at], who)
        lost = keeps[column[at]] != who
        if not lost.any():
            break
        at = at + lost
        on = at < end
        who, at, end = who[on], at[on], end[on]
    chosen[who] = column[at]


def _in_crowd(crowd: Regions, image: Ints, category: Ints, places: Any) -> Floats:
    """Return (N,) how much of each detection, 0-1, lies in a crowd region of its class; -1 where there is none."""
    inside = np.full(len(image), -1.0)
    for i in np.unique(crowd.image).tolist():
        rows = slice(*np.searchsorted(image, (i, i + 1)).tolist())
        here = crowd.category[crowd.start[i] : crowd.start[i + 1]]
        if rows.start < rows.stop:
            iou = coco_mask.iou(places[rows], crowd.places(i), [1] * len(here))
            inside[rows] = np.where(category[rows, None] == here, iou, -1.0).max(1)
    return inside
