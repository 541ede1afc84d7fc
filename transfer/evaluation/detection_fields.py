"""The fields of a results file's detections, each as one column, or the first detection at fault by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transfer.data.ids import Id, plain
from transfer.errors import InputError
from transfer.files.decode import shown

# What is wanted of each field of a detection, for messages and docs/checks.md.
FIELDS = {
    "image_id": "an image_id of the ground truth",
    "category_id": "a category_id of the ground truth",
    "score": "a score, a number in 0-1",
    "bbox": "a bbox, [x, y, width, height] with no negative size",
    "segmentation": "a mask, run lengths that fill its image or polygons of finite numbers near it",
}


def numbers(entries: list[Any], key: str, known: Mapping[Id, int], file: Path) -> NDArray[np.int64]:
    """Return the ground truth's numbers of the ids in one field; name the first that it does not have."""
    try:
        values = [entry[key] for entry in entries]
        if set(map(type, values)) <= {int}:
            return np.array([known[value] for value in values], np.int64)
    except (TypeError, KeyError):  # no object, no such field, or an id that the ground truth does not have
        pass
    indices = []
    for i, entry in enumerate(entries):
        value = plain(field(entry, key, i, file))
        if value is None or value not in known:
            raise InputError(
                f"{file}: detection {i}: expected {FIELDS[key]}, found {shown(entry[key])}; "
                "were they made on another set?"
            )
        indices.append(known[value])
    return np.array(indices, np.int64)


def column(
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
        value = field(entry, key, i, file)
        try:
            one = np.array([value])
            sound = one.dtype.kind in "if" and good(one) and not _has_truth_values([value])
        except (ValueError, OverflowError, TypeError):
            sound = False
        if not sound:
            raise InputError(f"{file}: detection {i}: expected {FIELDS[key]}, found {shown(value)}; correct it")
    return np.array([entry[key] for entry in entries], np.float64)


def field(entry: Any, key: str, i: int, file: Path) -> Any:
    """Return one field of detection ``i``, which has to be an object with it."""
    if not isinstance(entry, dict):
        raise InputError(f"{file}: detection {i}: expected an object, found {shown(entry)}; is it a results file?")
    if key not in entry:
        raise InputError(
            f'{file}: detection {i}: expected "{key}", found only {", ".join(map(shown, entry))}; is it a results file?'
        )
    return entry[key]


def are_scores(scores: NDArray[np.float64]) -> bool:
    """Whether (N,) numbers lie in 0-1."""
    return scores.ndim == 1 and bool(((scores >= 0) & (scores <= 1)).all())  # False for NaN


def are_boxes(boxes: NDArray[np.float64]) -> bool:
    """Whether (N, 4) numbers are finite and no size is negative."""
    return boxes.shape[1:] == (4,) and bool((np.abs(boxes) < 1e15).all() and (boxes[:, 2:] >= 0).all())


def _has_truth_values(values: list[Any]) -> bool:
    """Whether true or false stands among numbers, for which NumPy takes them."""
    flat = chain.from_iterable(values) if isinstance(values[0], list) else values
    return bool in set(map(type, flat))
