"""A COCO results file, read and checked against the ground truth that it is to be measured on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from transfer.data import check, rle_check
from transfer.data.ids import Id, lost_digits, plain
from transfer.data.rules import TOLERATED
from transfer.errors import InputError
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
    image_ids = _numbers(entries, "image_id", truth.image_numbers, file)
    known = truth.category_numbers | dict.fromkeys(truth.dropped, _DROPPED)
    category_ids = _numbers(entries, "category_id", known, file)
    entries, image_ids, category_ids = _without_dropped(entries, image_ids, category_ids, file)
    scores = _column(entries, "score", _are_scores, file)
    wanted = _tasks(entries, truth, tasks, file)
    boxes = masks = None
    if "bbox" in wanted:
        boxes = _column(entries, "bbox", _are_boxes, file)
        _check_places(boxes, image_ids, truth, file)
    if "segm" in wanted:
        if truth.masks_refused:
            raise InputError(truth.masks_refused)
        masks = _masks(entries, image_ids, truth, file)
    sha256 = hashlib.sha256(raw).hexdigest()
    return Detections(file, sha256, wanted, image_ids, category_ids, scores, boxes, masks)


# What is wanted of each field of a detection, for messages and docs/data-checks.md.
FIELDS = {
    "image_id": "an image_id of the ground truth",
    "category_id": "a category_id of the ground truth",
    "score": "a score, a number in 0-1",
    "bbox": "a bbox, [x, y, width, height] with no negative size",
    "segmentation": "a mask, run lengths that fill its image or polygons of finite numbers near it",
}
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


def _are_scores(scores: NDArray[np.float64]) -> bool:
    return scores.ndim == 1 and bool(((scores >= 0) & (scores <= 1)).all())  # False for NaN


def _are_boxes(boxes: NDArray[np.float64]) -> bool:
    return boxes.shape[1:] == (4,) and bool((np.abs(boxes) < 1e15).all() and (boxes[:, 2:] >= 0).all())


def _numbers(entries: list[Any], key: str, known: Mapping[Id, int], file: Path) -> NDArray[np.int64]:
    """Return the ground truth's numbers of the ids in one field; name the first that it does not have."""
    try:
        values = [entry[key] for entry in entries]
        if set(map(type, values)) <= {int}:
            return np.array([known[value] for value in values], np.int64)
    except (TypeError, KeyError):  # no object, no such field, or an id that the ground truth does not have
        pass
    numbers = []
    for i, entry in enumerate(entries):
        value = plain(_field(entry, key, i, file))
        if value is None or value not in known:
            raise InputError(
                f"{file}: detection {i}: expected {FIELDS[key]}, found {shown(entry[key])}; "
                "were they made on another set?"
            )
        numbers.append(known[value])
    return np.array(numbers, np.int64)


def _field(entry: Any, key: str, i: int, file: Path) -> Any:
    if not isinstance(entry, dict):
        raise InputError(f"{file}: detection {i}: expected an object, found {shown(entry)}; is it a results file?")
    if key not in entry:
        raise InputError(
            f'{file}: detection {i}: expected "{key}", found only {", ".join(map(shown, entry))}; is it a results file?'
        )
    return entry[key]


def _column(
    entries: list[Any], key: str, good: Callable[[NDArray[np.float64]], bool], file: Path
) -> NDArray[np.float64]:
    """Return one field of all detections; name the first that is not ``good``."""
    if not entries:
        return np.zeros((0, 4) if key == "bbox" else 0)
    try:
        values = [entry[key] for entry in entries]
        column = np.array(values)
        if column.dtype.kind in "if" and good(column) and not _has_truth_values(values):
            return column.astype(np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):  # the first at fault is named below
        pass
    for i, entry in enumerate(entries):
        value = _field(entry, key, i, file)
        try:
            one = np.array([value])
            sound = one.dtype.kind in "if" and good(one) and not _has_truth_values([value])
        except (ValueError, OverflowError, TypeError):
            sound = False
        if not sound:
            raise InputError(f"{file}: detection {i}: expected {FIELDS[key]}, found {shown(value)}; correct it")
    return np.array([entry[key] for entry in entries], np.float64)


def _has_truth_values(values: list[Any]) -> bool:
    """Whether true or false stands among numbers, for which NumPy takes them."""
    flat = chain.from_iterable(values) if isinstance(values[0], list) else values
    return bool in set(map(type, flat))


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


def _masks(entries: list[Any], image_ids: NDArray[np.int64], truth: GroundTruth, file: Path) -> list[dict[str, Any]]:
    sizes = [truth.sizes[i] for i in image_ids.tolist()]
    masks = _plain_masks(entries, sizes)
    if masks is None:
        masks = _checked_masks(entries, sizes, file)
    pixels = np.array(sizes, np.int64).reshape(-1, 2).prod(1)
    broken = rle_check.first_broken([mask["counts"] for mask in masks], pixels)
    if broken is not None:
        raise InputError(
            f"{file}: detection {broken}: expected run lengths that fill its image, {pixels[broken]} pixels, found a "
            "code that does not; was the file cut or edited?"
        )
    return masks


def _plain_masks(entries: list[Any], sizes: list[tuple[int, int]]) -> list[dict[str, Any]] | None:
    """Return the masks when all are compressed codes of the right size, as detectors write them; else None."""
    try:
        masks = [entry["segmentation"] for entry in entries]
        texts = all(type(mask["counts"]) is str and mask["counts"].isascii() for mask in masks)
        return masks if texts and [_size(mask) for mask in masks] == sizes else None
    except (TypeError, KeyError, AttributeError):  # another kind of mask, or none
        return None


def _checked_masks(entries: list[Any], sizes: list[tuple[int, int]], file: Path) -> list[dict[str, Any]]:
    """Return the masks one by one, other kinds compressed; name the first that cannot be one."""
    masks = []
    for i, (entry, size) in enumerate(zip(entries, sizes, strict=True)):
        mask = _field(entry, "segmentation", i, file)
        if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
            mask = _encoded(mask, size, f"{file}: detection {i}")
        if _size(mask) != size:
            raise InputError(
                f"{file}: detection {i}: expected a mask of its image's size, {list(size)} (height, width), found "
                f"{shown(mask.get('size'))}; were they made on resized images?"
            )
        if not mask["counts"].isascii():
            raise InputError(f"{file}: detection {i}: expected {FIELDS['segmentation']}, found {shown(mask)}")
        masks.append({"size": list(size), "counts": mask["counts"]})
    return masks


def _size(mask: dict[str, Any]) -> tuple[Any, ...] | None:
    size = mask.get("size")
    return tuple(size) if isinstance(size, list) and set(map(type, size)) <= {int} else None


def _encoded(mask: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """Return polygons or plain run lengths as a compressed run-length code.

    Args:
        mask: from the file.
        size: (height, width) of its image.
        where: names the detection.
    """
    height, width = size
    try:
        if isinstance(mask, dict):
            counts = mask["counts"]
            if set(map(type, counts)) != {int} or sum(counts) != height * width or min(counts) < 0:
                raise ValueError("run lengths that do not fill their image")
            if mask["size"] != [height, width]:
                return {"size": mask["size"], "counts": ""}  # the caller says it
            code = coco_mask.frPyObjects(mask, height, width)
        else:
            numbers = [v for polygon in mask for v in polygon]
            if not mask or not all(len(p) >= 6 and len(p) % 2 == 0 for p in mask):
                raise ValueError("no polygons")
            if not set(map(type, numbers)) <= {int, float}:
                raise ValueError("polygons of other things than numbers")
            reach = 2 * max(size)
            if not all(-reach < v < reach for v in numbers):  # also for NaN
                raise ValueError("polygons that are not finite, or far from their image")
            code = coco_mask.merge(coco_mask.frPyObjects(mask, height, width))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        why = f", {error}" if type(error) is ValueError else ""
        raise InputError(f"{where}: expected {FIELDS['segmentation']}, found {shown(mask)}{why}; correct it") from None
    return {"size": [height, width], "counts": code["counts"].decode()}
