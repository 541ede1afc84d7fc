"""COCO's average precision under image weights: exactly what the metric would be, had each image been there w times.

Which detection matches which object does not depend on other images, so one matching serves every resample. Pure numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # IoU
RECALLS = np.linspace(0, 1, 101)
CELLS = 4_000_000  # numbers in the largest array at one time: 32 MB

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassMatches:
    """One class: its detections in all images, best score first, and its objects.

    Attributes:
        image: (D,) which image each detection is of, an index.
        score: (D,), not rising.
        matched: (thresholds, D): the detection has an object of its own.
        ignored: (thresholds, D): it counts neither as right nor as wrong (crowds).
        objects: (images,) objects that count.
    """

    image: Ints
    score: Floats
    matched: Bools
    ignored: Bools
    objects: Ints


@dataclass(frozen=True)
class Matches:
    """Every class of one run on one set: class name -> matches; ``images`` are the image ids behind the indices."""

    images: list[int]
    classes: dict[str, ClassMatches]


def average_precision(matches: Matches, weights: Ints) -> Floats:
    """Return the AP of every class and IoU threshold.

    Args:
        matches: of N images and K classes.
        weights: (R, N) how often each image is there, whole numbers from 0 on.

    Returns:
        (R, thresholds, K) in 0-1; NaN where a class has no object. COCO's AP is the mean over the last two axes
        without the NaNs. Detections of equal score keep the order of their images.
    """
    found = [class_average_precision(one, weights) for one in matches.classes.values()]
    if not found:
        return np.full((len(weights), len(THRESHOLDS), 0), np.nan)
    return np.stack(found, axis=2)


def class_average_precision(one: ClassMatches, weights: Ints) -> Floats:
    """Return one class's AP, (R, thresholds), as ``average_precision`` does."""
    right = (one.matched & ~one.ignored).any(axis=0)
    length = int(np.flatnonzero(right)[-1]) + 1 if right.any() else 0  # nothing after the last right one counts
    rows = max(1, CELLS // max(1, length))
    parts = [_some_rows(one, weights[i : i + rows], length) for i in range(0, len(weights), rows)]
    return np.concatenate(parts)


def _some_rows(one: ClassMatches, weights: Ints, length: int) -> Floats:
    objects = weights @ one.objects
    found = np.zeros((len(weights), len(THRESHOLDS)))
    found[objects == 0] = np.nan
    times = weights[:, one.image[:length]]
    seen = np.cumsum(times, axis=1)
    needed = _needed(objects)
    for t in range(len(THRESHOLDS)):
        ignored = one.ignored[t, :length]
        right = np.flatnonzero(one.matched[t, :length] & ~ignored)
        if not len(right):
            continue
        true = np.cumsum(times[:, right], axis=1)
        counted = seen[:, right]
        if ignored.any():
            counted = counted - np.cumsum(times * ignored, axis=1)[:, right]
        precision = true / np.maximum(counted, 1)  # counted is 0 only where true is
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))  # a recall never reached has precision 0
        found[:, t] += np.take_along_axis(best, _first_at_least(true, needed, objects), axis=1).mean(axis=1)
    return found


def _needed(objects: Ints) -> Ints:
    """Return the least number of right detections whose recall reaches each of RECALLS, (R, 101).

    The comparison is the metric's own, in floating point: ``count / objects >= recall``.
    """
    total = np.maximum(objects, 1)[:, None]
    count = np.ceil(RECALLS * total).astype(np.int64)
    count -= (count > 0) & ((count - 1) / total >= RECALLS)
    count += count / total < RECALLS
    return count


def _first_at_least(rising: Ints, wanted: Ints, highest: Ints) -> Ints:
    """Return, row by row, where ``rising`` (R, J) first reaches each of ``wanted`` (R, W): J where it never does.

    One search for all rows: each is lifted above the one before.
    """
    lift = np.arange(len(rising))[:, None] * (int(highest.max()) + 2)
    places = np.searchsorted((rising + lift).ravel(), (wanted + lift).ravel()).reshape(wanted.shape)
    return np.minimum(places - np.arange(len(rising))[:, None] * rising.shape[1], rising.shape[1])


def summary(found: Floats) -> dict[str, Floats]:
    """Return AP, AP50 and AP75 in percent, (R,), from ``average_precision``'s answer; NaN where nothing could be."""
    chosen = {"AP": found, "AP50": found[:, :1], "AP75": found[:, 5:6]}
    return {name: 100 * _mean(part, (1, 2)) for name, part in chosen.items()}


def per_class(found: Floats) -> Floats:
    """Return each class's AP in percent, (R, K), from ``average_precision``'s answer."""
    return 100 * found.mean(axis=1)


def _mean(values: Floats, axes: tuple[int, ...]) -> Floats:
    """Return the mean without NaNs; NaN where there is nothing else."""
    there = np.isfinite(values)
    count = there.sum(axis=axes)
    total = np.where(there, values, 0).sum(axis=axes)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def image_f1(matches: Matches, least: float) -> Floats:
    """Return how well each image is solved by the detections with a score of at least ``least``: (images,) in 0-1.

    2 right / (detections + objects), averaged over the IoU thresholds; 1 where there is nothing and nothing was found.
    Unlike AP it needs no other image, and it is about the very detections that a picture shows.
    """
    n = len(matches.images)
    right, counted = np.zeros((len(THRESHOLDS), n)), np.zeros((len(THRESHOLDS), n))
    objects = np.zeros(n)
    for one in matches.classes.values():
        shown = one.score >= least
        for t in range(len(THRESHOLDS)):
            there = shown & ~one.ignored[t]
            counted[t] += np.bincount(one.image[there], minlength=n)
            right[t] += np.bincount(one.image[there & one.matched[t]], minlength=n)
        objects += one.objects
    both = counted + objects
    f1: Floats = np.where(both > 0, 2 * right / np.maximum(both, 1), 1.0).mean(axis=0)
    return f1
