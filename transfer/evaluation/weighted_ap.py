"""Average precision under image weights: exactly what the metric would be, had each image been there w times.

Which detection matches which object does not depend on other images, so one matching serves every resample. Pure numpy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # IoU
RECALLS = np.linspace(0, 1, 101)
CELLS = 500_000  # numbers in the largest array at one time: 4 MB, and few such arrays in each thread
MOST_THREADS = 8

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
        ignored: (thresholds, D): it counts neither as right nor as wrong (crowds, difficult objects).
        objects: (images,) objects that count.
    """

    image: Ints
    score: Floats
    matched: Bools
    ignored: Bools
    objects: Ints


@dataclass(frozen=True)
class MatchedClasses:
    """Every class of one run on one set, and how its metric makes AP of them.

    Attributes:
        images: the image ids behind the indices.
        classes: class name -> matches.
        recalls: (W,) rising from 0 to 1; AP is the mean, over these, of the best precision at that recall or a higher
            one. None for the area under that curve.
    """

    images: list[int]
    classes: dict[str, ClassMatches]
    recalls: Floats | None = field(default_factory=lambda: RECALLS)


def average_precision(
    matches: MatchedClasses, weights: Ints, report_progress: Callable[[float], object] | None = None
) -> Floats:
    """Return the AP of every class and IoU threshold.

    Args:
        matches: of N images and K classes.
        weights: (R, N) how often each image is there, whole numbers from 0 on.
        report_progress: is given each share of the work that is done; they add up to 1.

    Returns:
        (R, thresholds, K) in 0-1; NaN where a class has no object. The AP of the set is the mean over the last two
        axes without the NaNs. Detections of equal score keep the order of their images.
    """
    if not matches.classes:
        return np.full((len(weights), len(THRESHOLDS), 0), np.nan)
    small = weights.astype(np.min_scalar_type(weights.max(initial=0)))  # a byte: what is read most often
    # NumPy leaves the interpreter alone while it works on an array, so threads share the classes.
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as threads:
        computed = threads.map(
            lambda one: class_average_precision(one, small, matches.recalls), matches.classes.values()
        )
        aps = []
        for ap in computed:
            aps.append(ap)
            if report_progress is not None:
                report_progress(1 / len(matches.classes))
        return np.stack(aps, axis=2)


def class_average_precision(one: ClassMatches, weights: NDArray[np.integer], recalls: Floats | None) -> Floats:
    """Return one class's AP, (R, thresholds), as ``average_precision`` does."""
    right = (one.matched & ~one.ignored).any(axis=0)
    length = int(np.flatnonzero(right)[-1]) + 1 if right.any() else 0  # nothing after the last right one counts
    rows = max(1, CELLS // max(1, length))
    parts = [_some_rows(one, weights[i : i + rows], length, recalls) for i in range(0, len(weights), rows)]
    return np.concatenate(parts)


def _some_rows(one: ClassMatches, weights: NDArray[np.integer], length: int, recalls: Floats | None) -> Floats:
    there = np.flatnonzero(one.objects)
    objects = weights[:, there].astype(np.int64) @ one.objects[there]
    ap = np.zeros((len(weights), len(THRESHOLDS)))
    ap[objects == 0] = np.nan
    times = weights[:, one.image[:length]]
    detections = np.cumsum(times, axis=1, dtype=np.int32)
    steps = None if recalls is None else _Steps(objects, recalls)
    for t in range(len(THRESHOLDS)):
        ignored = one.ignored[t, :length]
        right = np.flatnonzero(one.matched[t, :length] & ~ignored)
        if not len(right):
            continue
        hits = times[:, right]
        true = np.cumsum(hits, axis=1, dtype=np.int32)
        counted = detections[:, right]
        if ignored.any():
            counted = counted - np.cumsum(times * ignored, axis=1, dtype=np.int32)[:, right]
        precision = true / np.maximum(counted, 1)  # counted is 0 only where true is
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        shares = hits / np.maximum(objects, 1)[:, None] if steps is None else steps.shares(true)
        ap[:, t] += np.einsum("rj,rj->r", best, shares)
    return ap


class _Steps:
    """How many of the recalls are first reached by which right detection: the weights of the precisions in AP."""

    def __init__(self, objects: Ints, recalls: Floats) -> None:
        """Prepare for rows with ``objects`` (R,) to find.

        The table says of each number of objects how many recalls each number of right detections reaches. That is the
        metric's own comparison, in floating point: ``right / objects >= recall``.
        """
        several, row = np.unique(np.maximum(objects, 1), return_inverse=True)
        total = several[:, None]
        needed = np.ceil(recalls * total).astype(np.int64)  # right detections, (several, W)
        needed -= (needed > 0) & ((needed - 1) / total >= recalls)
        needed += needed / total < recalls
        sizes = several + 1
        starts = np.cumsum(sizes) - sizes
        marks = np.bincount((needed + starts[:, None]).ravel(), minlength=int(sizes.sum()))
        before = np.repeat(np.arange(len(several)) * len(recalls), sizes)
        self._table = (np.cumsum(marks) - before).astype(np.uint8)
        self._start = starts[row].astype(np.int32)[:, None]
        self._recalls = len(recalls)

    def shares(self, true: NDArray[np.int32]) -> Floats:
        """Return the share of the recalls that each of a row's right detections is the first to reach.

        Args:
            true: (R, J) right detections so far.
        """
        reached = self._table[true + self._start]
        shares: Floats = np.diff(reached, axis=1, prepend=np.uint8(0)) / self._recalls
        return shares


def summary(ap: Floats) -> dict[str, Floats]:
    """Return AP, AP50 and AP75 in percent, (R,), from ``average_precision``'s answer; NaN where nothing could be."""
    chosen = {"AP": ap, "AP50": ap[:, :1], "AP75": ap[:, 5:6]}
    return {name: 100 * _mean(part, (1, 2)) for name, part in chosen.items()}


def per_class(ap: Floats) -> Floats:
    """Return each class's AP in percent, (R, K), from ``average_precision``'s answer."""
    return 100 * ap.mean(axis=1)


def _mean(values: Floats, axes: tuple[int, ...]) -> Floats:
    """Return the mean without NaNs; NaN where there is nothing else."""
    there = np.isfinite(values)
    count = there.sum(axis=axes)
    total = np.where(there, values, 0).sum(axis=axes)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def image_f1(matches: MatchedClasses, least: float) -> Floats:
    """Return how well each image is solved by the detections with a score of at least ``least``: (images,) in 0-1.

    2 right / (detections + objects), averaged over the IoU thresholds; 1 for no object and no detection.
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
