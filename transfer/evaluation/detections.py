"""A COCO results file, read and checked against the ground truth that it is to be measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transfer.errors import InputError
from transfer.evaluation import rle_check
from transfer.evaluation.ground_truth import GroundTruth
from transfer.files.json_files import large_values, parse, read_bytes
from transfer.records.record import TASKS

WHAT = "a COCO results file, a list of detections"


@dataclass(frozen=True)
class Detections:
    """N detections as columns.

    Attributes:
        file: where they lie.
        sha256: of the file's bytes.
        tasks: what is to be measured, out of "bbox" and "segm".
        image_ids: (N,).
        category_ids: (N,).
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
    entries = parse(raw, file, WHAT)
    if isinstance(entries, dict) and "images" in entries and "annotations" in entries:
        raise InputError(f"{file}: expected {WHAT}, found an annotation file; are --gt and --detections swapped?")
    if not isinstance(entries, list):
        raise InputError(f"{file}: expected {WHAT}, found {type(entries).__name__}; give the evaluator's results file")
    image_ids = _ids(entries, "image_id", truth.sizes, file)
    category_ids = _ids(entries, "category_id", truth.classes, file)
    scores = _column(entries, "score", "a number in 0-1", lambda a: a.ndim == 1 and bool(_in_range(a).all()), file)
    wanted = _tasks(entries, truth, tasks, file)
    boxes = masks = None
    if "bbox" in wanted:
        boxes = _column(entries, "bbox", "[x, y, width, height] with no negative size", _are_boxes, file)
    if "segm" in wanted:
        masks = _masks(entries, image_ids, truth, file)
    sha256 = hashlib.sha256(raw).hexdigest()
    return Detections(file, sha256, wanted, image_ids, category_ids, scores, boxes, masks)


def _in_range(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (scores >= 0) & (scores <= 1)  # False for NaN


def _are_boxes(boxes: NDArray[np.float64]) -> bool:
    return boxes.shape[1:] == (4,) and bool(np.isfinite(boxes).all() and (boxes[:, 2:] >= 0).all())


def _ids(entries: list[Any], key: str, known: dict[int, Any], file: Path) -> NDArray[np.int64]:
    try:
        values = [entry[key] for entry in entries]
        if set(values) <= known.keys() and set(map(type, values)) <= {int}:
            return np.array(values, np.int64)
    except (TypeError, KeyError):  # no object, no such field, or one that cannot be an id
        pass
    for i, entry in enumerate(entries):
        value = _field(entry, key, i, file)
        if type(value) is not int or value not in known:
            raise InputError(
                f"{file}: detection {i}: expected {_article(key)} of the ground truth, found {str(value)[:60]}; "
                "were they made on another set?"
            )
    raise AssertionError("one of them is at fault")


def _article(key: str) -> str:
    return "an image_id" if key == "image_id" else "a category_id"


def _field(entry: Any, key: str, i: int, file: Path) -> Any:
    if not isinstance(entry, dict):
        raise InputError(f"{file}: detection {i}: expected an object, found {str(entry)[:60]}; is it a results file?")
    if key not in entry:
        raise InputError(
            f'{file}: detection {i}: expected "{key}", found only {", ".join(entry)}; is it a results file?'
        )
    return entry[key]


def _column(
    entries: list[Any], key: str, what: str, good: Callable[[NDArray[np.float64]], bool], file: Path
) -> NDArray[np.float64]:
    """Return one field of all detections; name the first that is not ``good``."""
    try:
        column = np.array([entry[key] for entry in entries])
        if column.dtype.kind in "if" and good(column):
            return column.astype(np.float64)
    except (KeyError, ValueError):  # ValueError: lists of several lengths
        pass
    if not entries:
        return np.zeros((0, 4) if key == "bbox" else 0)
    for i, entry in enumerate(entries):
        value = _field(entry, key, i, file)
        try:
            one = np.array([value])
        except ValueError:
            one = np.array([None])
        if one.dtype.kind not in "if" or not good(one):
            raise InputError(f"{file}: detection {i}: expected a {key}, {what}, found {str(value)[:60]}; correct it")
    raise AssertionError("one of them is at fault")


def _tasks(entries: list[Any], truth: GroundTruth, asked: Sequence[str] | None, file: Path) -> tuple[str, ...]:
    if asked is not None:
        if "segm" in asked and not truth.has_masks:
            raise InputError(
                f"{truth.file}: expected a segmentation for every object, which segm is measured on, found some "
                "without; measure --tasks bbox"
            )
        return tuple(task for task in TASKS if task in asked)
    masks = truth.has_masks and all("segmentation" in entry for entry in entries)
    boxes = all("bbox" in entry for entry in entries)
    found = tuple(task for task, there in (("bbox", boxes), ("segm", masks)) if there)
    if not found:
        needs = "bbox" if not truth.has_masks else "bbox or segmentation"
        raise InputError(f"{file}: expected {needs} in every detection, found some without; nothing can be measured")
    return found


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
        plain = all(type(mask["counts"]) is str for mask in masks)
        return masks if plain and [tuple(mask["size"]) for mask in masks] == sizes else None
    except (TypeError, KeyError):  # another kind of mask, or none
        return None


def _checked_masks(entries: list[Any], sizes: list[tuple[int, int]], file: Path) -> list[dict[str, Any]]:
    """Return the masks one by one, other kinds compressed; name the first that cannot be one."""
    masks = []
    for i, (entry, size) in enumerate(zip(entries, sizes, strict=True)):
        mask = _field(entry, "segmentation", i, file)
        if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
            mask = _encoded(mask, size, f"{file}: detection {i}")
        if tuple(mask.get("size") or ()) != size:
            raise InputError(
                f"{file}: detection {i}: expected a mask of its image's size, {list(size)} (height, width), found "
                f"{mask.get('size')}; were they made on resized images?"
            )
        masks.append(mask)
    return masks


def _encoded(mask: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """Return polygons or plain run lengths as a compressed run-length code."""
    from pycocotools import mask as coco_mask

    try:
        if isinstance(mask, dict):
            if sum(mask["counts"]) != mask["size"][0] * mask["size"][1] or min(mask["counts"]) < 0:
                raise ValueError("run lengths that do not fill their image")
            code = coco_mask.frPyObjects(mask, *mask["size"])
        else:
            if not mask or not all(len(p) >= 6 and len(p) % 2 == 0 for p in mask):
                raise ValueError("no polygons")
            code = coco_mask.merge(coco_mask.frPyObjects(mask, *size))
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise InputError(
            f"{where}: expected a mask, run lengths or polygons, found {error or str(mask)[:60]}"
        ) from None
    return {"size": list(code["size"]), "counts": code["counts"].decode()}
