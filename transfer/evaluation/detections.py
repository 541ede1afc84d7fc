"""A COCO results file, read and checked against the ground truth that it is to be measured on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transfer.data import check
from transfer.data.ids import lost_digits
from transfer.data.rules import TOLERATED
from transfer.errors import InputError
from transfer.evaluation.detection_fields import are_boxes, are_scores, column, numbers
from transfer.evaluation.detection_masks import read_masks
from transfer.evaluation.ground_truth import GroundTruth
from transfer.files.decode import shown
from transfer.files.json_files import large_values, parse, read_bytes
from transfer.records.record import TASKS

log = logging.getLogger(__name__)

WHAT = "a COCO results file, a list of detections"


@dataclass(frozen=True)
class Detections:
    """N detections as columns; their images and categories are the ground truth's numbers, not the file's ids.

    Attributes:
        file: where they lie.
        sha256: of the file's bytes.
        tasks: what is to be measured, out of "bbox" and "segm".
        image_ids: (N,) numbers of ``truth.sizes``.
        category_ids: (N,) numbers of ``truth.classes``.
        scores: (N,), 0-1.
        boxes: (N, 4): x, y, width, height in pixels; None without "bbox" in ``tasks``.
        masks: N run-length codes, ``{"size": [height, width], "counts": str}``; None without "segm" in ``tasks``.
    """

    file: Path
    sha256: str
    tasks: tuple[str, ...]
    image_ids: NDArray[np.int64]
    category_ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64] | None
    masks: list[dict[str, Any]] | None

    def __len__(self) -> int:
        """Return N."""
        return len(self.scores)

    def chosen(self, index: NDArray[np.int64]) -> Detections:
        """Return the detections at ``index``, in that order."""
        return Detections(
            file=self.file,
            sha256=self.sha256,
            tasks=self.tasks,
            image_ids=self.image_ids[index],
            category_ids=self.category_ids[index],
            scores=self.scores[index],
            boxes=None if self.boxes is None else self.boxes[index],
            masks=None if self.masks is None else [self.masks[i] for i in index],
        )


@large_values()
def read(file: Path, truth: GroundTruth, tasks: Sequence[str] | None = None, raw: bytes | None = None) -> Detections:
    """Read a results file.

    Args:
        file: what Detectron2 calls coco_instances_results.json, or any COCO results file.
        truth: what it is measured on.
        tasks: "bbox", "segm" or both; None takes what file and ground truth both have.
        raw: its bytes, where they are in memory; ``file`` then only names them in errors.

    Raises:
        InputError: no such file, no results file, unknown images or categories, scores outside 0-1, boxes that are
            none, masks that are missing, of another size or broken; one line that names the first such detection.
    """
    raw = read_bytes(file, WHAT) if raw is None else raw
    entries = _parsed(raw, file)
    image_ids = numbers(entries, "image_id", truth.image_numbers, file)
    known = truth.category_numbers | dict.fromkeys(truth.dropped, _DROPPED)
    category_ids = numbers(entries, "category_id", known, file)
    entries, image_ids, category_ids = _without_dropped(entries, image_ids, category_ids, file)
    scores = column(entries, "score", are_scores, file)
    wanted = _tasks(entries, truth, tasks, file)
    boxes = masks = None
    if "bbox" in wanted:
        boxes = column(entries, "bbox", are_boxes, file)
        _check_places(boxes, image_ids, truth, file)
    if "segm" in wanted:
        if truth.masks_refused:
            raise InputError(truth.masks_refused)
        masks = read_masks(entries, [truth.sizes[i] for i in image_ids.tolist()], file)
    sha256 = hashlib.sha256(raw).hexdigest()
    return Detections(file, sha256, wanted, image_ids, category_ids, scores, boxes, masks)


# What is wanted of all boxes together: more than 1 % of them otherwise is refused.
PLACES = {
    "fractions": "boxes in pixels, not in fractions of the image; multiply them by its width and height",
    "corners": "boxes [x, y, width, height], not corners [x1, y1, x2, y2]; subtract",
    "elsewhere": "boxes that touch their image; were they made on resized images?",
}
_DROPPED = 0  # the number of a category that the ground truth leaves out


def _parsed(raw: bytes, file: Path) -> list[Any]:
    entries = parse(raw, file, WHAT)
    if isinstance(entries, dict) and "images" in entries and "annotations" in entries:
        raise InputError(f"{file}: expected {WHAT}, found an annotation file; are --gt and --detections swapped?")
    if not isinstance(entries, list):
        raise InputError(f"{file}: expected {WHAT}, found {type(entries).__name__}; give the evaluator's results file")
    for key in ("image_id", "category_id"):
        if lost_digits(entry.get(key) for entry in entries if isinstance(entry, dict)):
            return cast(list[Any], parse(raw, file, WHAT, exact=True))
    return entries


def _without_dropped(
    entries: list[Any], image_ids: NDArray[np.int64], category_ids: NDArray[np.int64], file: Path
) -> tuple[list[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Leave out what was detected of categories that the ground truth leaves out: nothing of them can be found."""
    there = category_ids != _DROPPED
    if there.all():
        return entries, image_ids, category_ids
    log.warning("%s: %d detections of categories without an annotation: left out", file, int((~there).sum()))
    return [entries[i] for i in np.flatnonzero(there)], image_ids[there], category_ids[there]


def _check_places(boxes: NDArray[np.float64], image_ids: NDArray[np.int64], truth: GroundTruth, file: Path) -> None:
    """Refuse boxes that are none of their images; more than a few mean that all of them are of another kind."""
    if not len(boxes):
        return
    sizes = np.array([truth.sizes[i][::-1] for i in image_ids.tolist()], np.float64)
    ends = boxes[:, :2] + boxes[:, 2:]
    fractions = check.in_fractions(boxes, sizes) & (boxes[:, 2:] > 0).all(1)
    far = (boxes[:, 2:] > 0).all(1) & check.beyond(boxes, sizes, _UNCLIPPED * sizes.max(1, keepdims=True))
    corners = far & check.corners_fit(boxes, sizes)
    elsewhere = (ends < 0).any(1) | (boxes[:, :2] > sizes).any(1)
    for rule, where in (("fractions", fractions), ("corners", corners), ("elsewhere", elsewhere)):
        if not where.any():
            continue
        i = int(np.flatnonzero(where)[0])
        width, height = sizes[i]
        line = (
            f"{file}: detection {i}: expected {PLACES[rule]}; found {boxes[i].tolist()} in {width:.0f}x{height:.0f}, "
            f"and {int(where.sum())} of {len(boxes)} such"
        )
        if where.mean() > TOLERATED:
            raise InputError(line)
        log.warning("%s", line)


_UNCLIPPED = 0.2  # of the image: how far boxes of detectors that clip nothing reach over its border


def _tasks(entries: list[Any], truth: GroundTruth, tasks: Sequence[str] | None, file: Path) -> tuple[str, ...]:
    if tasks is not None:
        if "segm" in tasks and not truth.has_masks:
            raise InputError(
                f"{truth.file}: expected a segmentation for every object, which segm is measured on, found some "
                "without; measure --tasks bbox"
            )
        return tuple(task for task in TASKS if task in tasks)
    boxes = _all_have(entries, "bbox", file)
    masks = truth.has_masks and _all_have(entries, "segmentation", file)
    if truth.n_with_mask and not truth.has_masks and any("segmentation" in entry for entry in entries):
        n = len(truth.content["annotations"])
        log.warning(
            "%s: %d of %d objects are without a mask: no masks are measured", truth.file, n - truth.n_with_mask, n
        )
    measurable = tuple(task for task, there in (("bbox", boxes), ("segm", masks)) if there)
    if not measurable:
        needs = "bbox" if not truth.has_masks else "bbox or segmentation"
        raise InputError(f"{file}: expected {needs} in every detection, found some without; nothing can be measured")
    return measurable


def _all_have(entries: list[Any], key: str, file: Path) -> bool:
    """Whether all detections have a field, or none; some with and some without are refused."""
    missing = [i for i, entry in enumerate(entries) if key not in entry]
    if missing and len(missing) < len(entries):
        raise InputError(
            f'{file}: detection {missing[0]}: expected "{key}", which others have, found only '
            f"{', '.join(map(shown, entries[missing[0]]))}; {len(missing)} are without, correct them or give --tasks"
        )
    return not missing
