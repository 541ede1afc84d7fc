"""Ground truth and detections -> precision and recall, by hotcoco or by pycocotools, its reference.

Both follow pycocotools' arrays: T = 10 IoU thresholds 0.5 ... 0.95, R = 101 recalls 0 ... 1, K classes by id, A = 4
areas (all, small, medium, large), M limits of detections per image; -1 where a class has no object in that area.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hotcoco
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from transfer.errors import InputError
from transfer.evaluation.detections import Detections
from transfer.evaluation.ground_truth import GroundTruth

LVIS_LIMIT = 300  # detections per image over all classes (Gupta et al., LVIS, CVPR 2019, and its API)


@dataclass(frozen=True)
class Curves:
    """What an engine found.

    Attributes:
        precision: (T, R, K, A, M).
        recall: (T, K, A, M), the highest reached.
        limits: the M limits of detections per image.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    limits: tuple[int, ...]


def federated(truth: GroundTruth, detections: Detections) -> Detections:
    """Return the detections that LVIS counts; all of them for another protocol.

    Per image the 300 of the highest scores; among these only classes that were looked for in the image: those with an
    object there and those that are known to be absent.
    """
    if truth.protocol != "lvis":
        return detections
    order = np.lexsort((-detections.scores, detections.image_ids))  # stable: equal scores stay in the file's order
    best = np.sort(order[rank(detections.image_ids[order]) < LVIS_LIMIT])
    looked_for = {(a["image_id"], a["category_id"]) for a in truth.content["annotations"]}
    looked_for |= {(image["id"], c) for image in truth.content["images"] for c in image.get("neg_category_ids", ())}
    pairs = zip(detections.image_ids[best].tolist(), detections.category_ids[best].tolist(), strict=True)
    return detections.chosen(best[np.array([pair in looked_for for pair in pairs], np.bool_)])


def rank(*groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N,) each detection's place, from 0, among those that are alike in all of ``groups`` and lie together."""
    new = np.ones(len(groups[0]), np.bool_)
    new[1:] = np.any([group[1:] != group[:-1] for group in groups], axis=0)
    starts = np.flatnonzero(new)
    return np.arange(len(new)) - np.repeat(starts, np.diff(np.append(starts, len(new))))


def not_exhaustive(truth: GroundTruth) -> set[tuple[int, int]]:
    """Return LVIS's (image id, category id) where not every object is annotated: a detection there is never wrong."""
    images = truth.content["images"]
    return {(image["id"], c) for image in images for c in image.get("not_exhaustive_category_ids", ())}


def by_hotcoco(truth: GroundTruth, detections: Detections, task: str) -> Curves:
    """Return the curves of one task.

    Raises:
        InputError: hotcoco cannot read the masks.
    """
    try:
        reference = hotcoco.COCO(_content(truth, task))
        if task == "bbox":
            assert detections.boxes is not None
            columns = (detections.image_ids, *detections.boxes.T, detections.scores, detections.category_ids)
            results = reference.load_res(np.stack(columns, axis=1).astype(np.float64))
        else:
            results = reference.load_res(_entries(detections, task))
        evaluation = hotcoco.COCOeval(reference, results, task, lvis_style=truth.protocol == "lvis")
        evaluation.evaluate()
        evaluation.accumulate()
    except ValueError as error:
        raise InputError(
            f"{detections.file}: expected masks that can be measured, found {error}; correct them"
        ) from None
    arrays = evaluation.eval
    assert arrays is not None  # accumulate has filled it
    return Curves(arrays["precision"], arrays["recall"], tuple(evaluation.params.max_dets))


def by_pycocotools(truth: GroundTruth, detections: Detections, task: str) -> Curves:
    """Return the curves of one task; LVIS's rules are added to COCO's."""
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = copy.deepcopy(_content(truth, task))  # the evaluation writes into it
        reference.createIndex()
        entries = _entries(federated(truth, detections), task)
        if entries:
            results = reference.loadRes(entries)
        else:  # loadRes looks at the first entry
            results = COCO()
            results.dataset = {**reference.dataset, "annotations": []}
            results.createIndex()
        evaluation = _evaluation(truth, reference, results, task)
        evaluation.evaluate()
        evaluation.accumulate()
    return Curves(evaluation.eval["precision"], evaluation.eval["recall"], tuple(evaluation.params.maxDets))


ENGINES: dict[str, Callable[[GroundTruth, Detections, str], Curves]] = {
    "hotcoco": by_hotcoco,
    "pycocotools": by_pycocotools,
}


def _content(truth: GroundTruth, task: str) -> dict[str, Any]:
    if task == "segm":
        return truth.content
    annotations = [{k: v for k, v in a.items() if k != "segmentation"} for a in truth.content["annotations"]]
    return {**truth.content, "annotations": annotations}


def _entries(detections: Detections, task: str) -> list[dict[str, Any]]:
    """Return detections as results files hold them.

    A mask's goes without its box: given both, pycocotools takes the box's area for the mask's, and small, medium and
    large would mean something else.
    """
    key, column = ("bbox", detections.boxes) if task == "bbox" else ("segmentation", detections.masks)
    assert column is not None
    columns = (detections.image_ids.tolist(), detections.category_ids.tolist(), detections.scores.tolist())
    places = column.tolist() if isinstance(column, np.ndarray) else column
    return [
        {"image_id": i, "category_id": c, "score": s, key: place}
        for i, c, s, place in zip(*columns, places, strict=True)
    ]


def _evaluation(truth: GroundTruth, reference: COCO, results: COCO, task: str) -> COCOeval:
    if truth.protocol != "lvis":
        return COCOeval(reference, results, task)
    evaluation = _FederatedEval(reference, results, task)
    evaluation.params.maxDets = [LVIS_LIMIT]
    evaluation.open = not_exhaustive(truth)
    return evaluation


class _FederatedEval(COCOeval):
    """COCO's evaluation, in which an unmatched detection is ignored where not every object is annotated."""

    open: set[tuple[int, int]]

    def evaluateImg(self, imgId: int, catId: int, aRng: list[float], maxDet: int) -> dict[str, Any] | None:
        matches: dict[str, Any] | None = super().evaluateImg(imgId, catId, aRng, maxDet)
        if matches is not None and (imgId, catId) in self.open:
            matches["dtIgnore"] = np.logical_or(matches["dtIgnore"], matches["dtMatches"] == 0)
        return matches
