"""What each start is worth on average, and how far it is from the baseline.

Pure functions from records (and what resampling the images gave) to numbers; `comparison.verdicts` judges them.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from transfer.comparison import intervals
from transfer.comparison.bootstrap import RESAMPLED, ImageResamples
from transfer.comparison.comparable import start_names
from transfer.comparison.intervals import LEAST_SEEDS, Estimate, Floats
from transfer.errors import InputError
from transfer.records.record import ALL_METRICS, TASKS, Record
from transfer.records.record import BASELINE as BASELINE


@dataclass(frozen=True)
class Value:
    """A mean over n runs in percent, with the sample standard deviation (null for one run)."""

    mean: float
    std: float | None
    n: int
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Group:
    """The runs that started the same way with the same labels, by seed.

    Attributes:
        init: what the report calls the start.
        runs: at least one.
        values: (task, metric) -> Value, None where not measured.
        fraction: share of the training images whose labels were used; null when not known.
    """

    init: str
    runs: list[Record]
    values: dict[tuple[str, str], Value | None]
    fraction: float | None = 1.0


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a metric of each run, (n,), and on resampled images, (resamples, n), or null."""

    values: Floats
    resampled: Floats | None = None


@dataclass(frozen=True)
class Difference:
    """A group's mean minus the baseline's, in percentage points.

    Attributes:
        mean: the difference of the two means.
        std: sample standard deviation of the differences seed by seed; null unless both groups ran the same two or
            more seeds.
        n: runs on the smaller side.
        interval: at 95 %; null when neither seeds nor images give one.
        basis: what the interval is over: "seeds and images", "seeds", "images", or "" for none.
        estimate: what the interval was made of; null without three seeds.
    """

    mean: float
    std: float | None
    n: int
    interval: tuple[float, float] | None = None
    basis: str = ""
    estimate: Estimate | None = field(default=None, compare=False)


def group(records: Sequence[Record], baseline: str | None = None, images: ImageResamples | None = None) -> list[Group]:
    """Return one group per start and label fraction: most labels first, then the baseline, then in the order given.

    Args:
        records: comparable runs.
        baseline: the start to compare with; None takes "random" where there is such a run.
        images: what resampling gave, for the means' intervals.

    Raises:
        InputError: no run starts from ``baseline``.
    """
    names = start_names(records)
    inits = list(dict.fromkeys(names))
    if baseline is not None and baseline not in inits:
        raise InputError(f"no such baseline: expected one of {', '.join(inits)}, found {baseline}; name one of these")
    inits.sort(key=lambda init: init != (baseline or BASELINE))  # stable: only the baseline moves
    groups = []
    for fraction in sorted({r.label_fraction for r in records}, key=lambda f: -1 if f is None else f, reverse=True):
        for init in inits:
            runs = [r for r, n in zip(records, names, strict=True) if n == init and r.label_fraction == fraction]
            if runs:
                groups.append(_group(init, runs, fraction, images))
    return groups


def _group(init: str, runs: list[Record], fraction: float | None, images: ImageResamples | None) -> Group:
    runs = sorted(runs, key=lambda run: -1 if run.seed is None else run.seed)
    values = {}
    for task in TASKS:
        for metric in ALL_METRICS:
            value = mean([run.metrics[task][metric] for run in runs])
            if value is not None and value.n >= LEAST_SEEDS:
                numbers = _values(runs, task, metric)
                estimate = intervals.over_seeds(numbers, _resampled(runs, task, metric, images), _count(images))
                value = Value(value.mean, value.std, value.n, estimate.interval())
            values[task, metric] = value
    return Group(init, runs, values, fraction)


def mean(values: Sequence[float | None]) -> Value | None:
    """Return mean, spread and n; None when any value is missing, because a mean over the rest is of something else."""
    measured = [value for value in values if value is not None]
    if not measured or len(measured) < len(values):
        return None
    return Value(statistics.fmean(measured), _std(measured), len(measured))


def difference(
    ours: Group, baseline: Group, task: str, metric: str, images: ImageResamples | None = None
) -> Difference | None:
    """Return how far ``ours`` is above ``baseline``; None when one of them was not measured."""
    if ours.values[task, metric] is None or baseline.values[task, metric] is None:
        return None
    both = (side(ours, task, metric, images), side(baseline, task, metric, images))
    return side_difference(*both, paired(ours, baseline), _count(images))


def side(group: Group, task: str, metric: str, images: ImageResamples | None = None) -> Side:
    """One metric of a group whose runs all have it."""
    return Side(_values(group.runs, task, metric), _resampled(group.runs, task, metric, images))


def class_difference(
    ours: Group, baseline: Group, task: str, name: str, images: ImageResamples | None = None
) -> Difference | None:
    """Return how far ``ours`` is above ``baseline`` in one class's AP; None when one of them was not measured."""
    sides = []
    for g in (ours, baseline):
        aps = [run.per_class[task].get(name) for run in g.runs]
        if any(ap is None for ap in aps):
            return None
        runs = None if images is None else [images.of(run) for run in g.runs]
        resampled = None
        if runs is not None and all(run is not None and (task, name) in run.classes for run in runs):
            resampled = np.stack([run.classes[task, name] for run in runs if run is not None], axis=1)
        sides.append(Side(np.array(aps, dtype=float), resampled))
    return side_difference(sides[0], sides[1], paired(ours, baseline), _count(images))


def side_difference(ours: Side, theirs: Side, paired: bool, images: int) -> Difference:
    """Return how far one side's mean is above the other's.

    Args:
        ours: at least one run.
        theirs: at least one run.
        paired: whether both have the same seeds, in the same order.
        images: how many images were measured on.
    """
    (a, resampled_a), (b, resampled_b) = ((side.values, side.resampled) for side in (ours, theirs))
    value, n = float(a.mean() - b.mean()), min(len(a), len(b))
    std = _std(list(a - b)) if paired else None
    both = None if resampled_a is None or resampled_b is None else (resampled_a, resampled_b)
    if n < LEAST_SEEDS:
        if both is None:
            return Difference(value, std, n)
        return Difference(value, std, n, intervals.over_images(both[0].mean(axis=1) - both[1].mean(axis=1)), "images")
    if paired:
        estimate = intervals.over_seeds(a - b, None if both is None else both[0] - both[1], images)
    else:
        estimate = intervals.between(a, b, both, images)
    return Difference(value, std, n, estimate.interval(), "seeds" if both is None else "seeds and images", estimate)


def paired(ours: Group, baseline: Group) -> bool:
    """Whether both ran the same seeds, each once: the same initial heads and the same order of images."""
    seeds = [run.seed for run in ours.runs]
    return None not in seeds and len(set(seeds)) == len(seeds) and seeds == [run.seed for run in baseline.runs]


def _values(runs: Sequence[Record], task: str, metric: str) -> Floats:
    return np.array([run.metrics[task][metric] for run in runs], dtype=float)


def _resampled(runs: Sequence[Record], task: str, metric: str, images: ImageResamples | None) -> Floats | None:
    """Return (resamples, runs), None unless every run has them."""
    if images is None or metric not in RESAMPLED:
        return None
    values = [images.of(run) for run in runs]
    if any(one is None or (task, metric) not in one.metrics for one in values):
        return None
    return np.stack([one.metrics[task, metric] for one in values if one is not None], axis=1)


def _count(images: ImageResamples | None) -> int:
    return images.count if images is not None else 0


def _std(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
