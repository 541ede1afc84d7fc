"""COCO's matching at IoU 0.5, and beside it how near each detection comes to any object of its image.

pycocotools says which detections are right; TIDE also asks of a wrong one which object it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from transfer.detections import Detections
from transfer.engines import not_exhaustive
from transfer.ground_truth import GroundTruth

FOREGROUND, BACKGROUND = 0.5, 0.1  # TIDE's t_f and t_b
LIMIT = 100  # detections per image and class

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Matches:
    """N detections by image, class and score, and G objects without crowds.

    Attributes:
        score: (N,).
        category: (N,) index of the class.
        object: (N,) index of the object that the detection is matched to, -1 for none.
        ignored: (N,) whether the detection counts neither as right nor as wrong.
        same_iou, same_object: (N,) the highest IoU with an object of the same class, and that object (-1 for none).
        other_iou, other_object: (N,) the same for the objects of other classes.
        object_category: (G,) index of the class.
        by_score: (N,) indices of the detections in the order of falling scores, equal ones as pycocotools has them.
    """

    score: Floats
    category: Ints
    object: Ints
    ignored: NDArray[np.bool_]
    same_iou: Floats
    same_object: Ints
    other_iou: Floats
    other_object: Ints
    object_category: Ints
    by_score: Ints

    def taken(self) -> NDArray[np.bool_]:
        """Return (G,) whether a detection is matched to the object."""
        taken = np.zeros(len(self.object_category), np.bool_)
        taken[self.object[self.object >= 0]] = True
        return taken

    def n_objects(self, classes: int) -> Ints:
        """Return (classes,) the number of objects of each class."""
        return np.bincount(self.object_category, minlength=classes)


def match(truth: GroundTruth, found: Detections, task: str) -> Matches:
    """Match ``found`` to ``truth`` as COCO's evaluation does at IoU 0.5, all areas, 100 detections of a class an image.

    LVIS's limit per image and its choice of classes have been applied before (``engines.federated``).
    """
    index = {category: k for k, category in enumerate(truth.classes)}
    category = np.array([index[c] for c in found.category_ids.tolist()], np.int64)
    order = np.lexsort((-found.scores, category, found.image_ids))  # stable
    if truth.protocol != "lvis":
        order = order[_rank(found.image_ids[order], category[order]) < LIMIT]
    found, category = found.chosen(order), category[order]
    objects = _Objects(truth, index, task)
    columns = _Columns(len(found))
    ids, starts = np.unique(found.image_ids, return_index=True)
    for image_id, start, end in zip(ids.tolist(), starts, np.append(starts, len(found))[1:], strict=True):
        _match_image(columns, slice(start, end), category[start:end], objects.of(image_id), found, task)
    if open_pairs := not_exhaustive(truth):
        pairs = zip(found.image_ids.tolist(), found.category_ids.tolist(), strict=True)
        columns.ignored |= (columns.object < 0) & np.array([pair in open_pairs for pair in pairs], np.bool_)
    return Matches(
        score=found.scores,
        category=category,
        object=columns.object,
        ignored=columns.ignored,
        same_iou=columns.same_iou,
        same_object=columns.same_object,
        other_iou=columns.other_iou,
        other_object=columns.other_object,
        object_category=objects.category,
        by_score=np.argsort(-found.scores, kind="stable"),
    )


def _rank(image_ids: Ints, category: Ints) -> Ints:
    """Return each detection's place among those of its image and class, which lie together."""
    new = np.ones(len(image_ids), np.bool_)
    new[1:] = (image_ids[1:] != image_ids[:-1]) | (category[1:] != category[:-1])
    starts = np.flatnonzero(new)
    return np.arange(len(new)) - np.repeat(starts, np.diff(np.append(starts, len(new))))


@dataclass(frozen=True)
class _Image:
    """The objects and crowds of one image."""

    first: int
    category: Ints
    places: Any
    crowd_category: Ints
    crowd_places: Any


class _Objects:
    """Objects and crowds by image."""

    def __init__(self, truth: GroundTruth, index: dict[int, int], task: str) -> None:
        self._sizes, self._task = truth.sizes, task
        annotations = sorted(truth.content["annotations"], key=lambda a: a["image_id"])  # stable
        self._real: dict[int, list[dict[str, Any]]] = {}
        self._crowd: dict[int, list[dict[str, Any]]] = {}
        self._first: dict[int, int] = {}
        self._index = index
        real = [a for a in annotations if not a["iscrowd"]]
        self.category = np.array([index[a["category_id"]] for a in real], np.int64)
        for i, annotation in enumerate(real):
            self._first.setdefault(annotation["image_id"], i)
            self._real.setdefault(annotation["image_id"], []).append(annotation)
        for annotation in annotations:
            if annotation["iscrowd"]:
                self._crowd.setdefault(annotation["image_id"], []).append(annotation)

    def of(self, image_id: int) -> _Image:
        real, crowd = self._real.get(image_id, []), self._crowd.get(image_id, [])
        return _Image(
            self._first.get(image_id, 0),
            self._classes(real),
            self._places(real),
            self._classes(crowd),
            self._places(crowd),
        )

    def _classes(self, annotations: list[dict[str, Any]]) -> Ints:
        return np.array([self._index[a["category_id"]] for a in annotations], np.int64)

    def _places(self, annotations: list[dict[str, Any]]) -> Any:
        if not annotations:
            return []
        if self._task == "bbox":
            return np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4)
        return _codes([a["segmentation"] for a in annotations], *self._sizes[annotations[0]["image_id"]])


def _codes(segmentations: list[Any], height: int, width: int) -> list[Any]:
    """Return the masks of one image as compressed codes; its polygons are drawn in one call."""
    polygons = [polygon for mask in segmentations if isinstance(mask, list) for polygon in mask]
    drawn = iter(coco_mask.frPyObjects(polygons, height, width) if polygons else ())
    codes = []
    for mask in segmentations:
        if isinstance(mask, list):
            parts = [next(drawn) for _ in mask]
            codes.append(parts[0] if len(parts) == 1 else coco_mask.merge(parts))
        elif isinstance(mask["counts"], list):
            codes.append(coco_mask.frPyObjects(mask, height, width))
        else:
            codes.append(mask)
    return codes


class _Columns:
    """What is filled image by image."""

    def __init__(self, n: int) -> None:
        self.object = np.full(n, -1, np.int64)
        self.ignored = np.zeros(n, np.bool_)
        self.same_iou, self.other_iou = np.zeros(n), np.zeros(n)
        self.same_object, self.other_object = np.full(n, -1, np.int64), np.full(n, -1, np.int64)


def _match_image(columns: _Columns, rows: slice, category: Ints, image: _Image, found: Detections, task: str) -> None:
    places: Any = found.boxes[rows] if task == "bbox" else found.masks[rows]  # type: ignore[index]
    if len(image.category):
        iou = coco_mask.iou(places, image.places, [0] * len(image.category))
        same = category[:, None] == image.category[None, :]
        every = np.arange(len(category))
        for values, best, at in (
            (np.where(same, iou, 0.0), columns.same_iou, columns.same_object),
            (np.where(same, 0.0, iou), columns.other_iou, columns.other_object),
        ):
            nearest = values.argmax(1)
            best[rows] = values[every, nearest]
            at[rows] = np.where(best[rows] > 0, nearest + image.first, -1)
        for row, column in _greedy(iou, same & (iou >= FOREGROUND)):
            columns.object[rows.start + row] = column + image.first
    if len(image.crowd_category):
        inside = coco_mask.iou(places, image.crowd_places, [1] * len(image.crowd_category)) >= FOREGROUND
        inside &= category[:, None] == image.crowd_category[None, :]
        columns.ignored[rows] = inside.any(1) & (columns.object[rows] < 0)


def _greedy(iou: Floats, close: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Give (row, column) of the matches: in the order of the rows, the highest IoU that is free, the last of equals."""
    taken: set[int] = set()
    candidates: dict[int, list[int]] = {}
    for row, column in zip(*(axis.tolist() for axis in np.nonzero(close)), strict=True):
        candidates.setdefault(row, []).append(column)
    for row, columns in candidates.items():
        free = [column for column in columns if column not in taken]
        if free:
            best = max(free, key=lambda column: (iou[row, column], column))
            taken.add(best)
            yield row, best
