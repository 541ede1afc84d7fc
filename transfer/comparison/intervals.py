"""Intervals over two sources of chance at once: the seeds of training and the images measured on.

Pure functions on numbers. ``docs/report.md`` derives the combination; ``tests/transfer/comparison/test_intervals.py``
simulates what it covers. Everything is in the unit of its input (here: percentage points of AP).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # not scipy.stats, which takes seconds to import

LEVEL = 0.95
POWER = 0.8
LEAST_SEEDS = 3  # fewer show no spread worth a t interval
MOST_SEEDS = 200  # more than anybody trains
_SMALLEST = 1e-12  # p-values below are not told apart

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One independent part of an estimate's variance, and how many degrees of freedom it was estimated with."""

    variance: float
    freedom: float


@dataclass(frozen=True)
class Estimate:
    """A number and the parts of its variance: what the seeds do, group by group, and what the images do to all.

    A part over seeds is s² / n with n - 1 degrees of freedom; ``images`` is null when they could not be resampled.
    """

    value: float
    seeds: tuple[Part, ...]
    images: Part | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts."""
        return self.seeds if self.images is None else (*self.seeds, self.images)

    @property
    def error(self) -> float:
        """Standard error."""
        return math.sqrt(sum(part.variance for part in self.parts))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Two-sided interval."""
        half = self.error * critical(self.parts, 1 - level) if self.error else 0.0
        return self.value - half, self.value + half

    def p(self) -> float:
        """The least alpha whose interval leaves out zero (two-sided)."""
        if not self.error:
            return 1.0 if self.value == 0 else _SMALLEST
        ratio = abs(self.value) / self.error
        if ratio >= critical(self.parts, _SMALLEST):
            return _SMALLEST
        low, high = math.log(_SMALLEST), 0.0
        while high - low > 1e-9:  # the reach falls as alpha grows
            middle = (low + high) / 2
            low, high = (middle, high) if critical(self.parts, math.exp(middle)) > ratio else (low, middle)
        return math.exp(high)


def critical(parts: Sequence[Part], alpha: float) -> float:
    """Return how many standard errors a two-sided interval at 1 - ``alpha`` reaches.

    Halfway between the two textbook answers for a variance in parts: Student's quantile at Satterthwaite's degrees of
    freedom, which is short when one part has few of them, and Cochran's mean of the parts' own quantiles weighted by
    variance, which is long. With three seeds the one covers 92-95 %, the other 95-97 %, their mean 94-96 %.
    """
    parts = [part for part in parts if part.variance > 0]
    total = sum(part.variance for part in parts)
    freedom = total**2 / sum(part.variance**2 / part.freedom for part in parts)
    satterthwaite = -stdtrit(freedom, alpha / 2)
    cochran = sum(part.variance / total * -stdtrit(part.freedom, alpha / 2) for part in parts)
    return float(satterthwaite + cochran) / 2


def image_variance(covariance: Floats) -> float:
    """Return the variance that all seeds share because they were measured on the same images.

    Args:
        covariance: (n, n) over image resamples, of the n seeds' values, n >= 2.

    Returns:
        The mean covariance of two different seeds, at least 0. The diagonal also holds what the images do to one seed
        alone; that is inside the spread over seeds already and must not be counted twice.
    """
    return max(0.0, _mean_off_diagonal(covariance))


def over_seeds(values: Floats, resampled: Floats | None, images: int) -> Estimate:
    """Return the mean of one value per seed.

    Args:
        values: (n,), n >= 2: a metric of each run, or the differences of pairs of runs.
        resampled: (resamples, n): the same on resampled images, the same ones for all n; None when there are none.
        images: how many images were measured on.
    """
    shared = None
    if resampled is not None:
        shared = Part(image_variance(np.cov(_complete(resampled), rowvar=False)), images - 1)
    return Estimate(float(values.mean()), (_seeds(values),), shared)


def between(ours: Floats, theirs: Floats, resampled: tuple[Floats, Floats] | None, images: int) -> Estimate:
    """Return the difference of two means whose seeds are not paired.

    Args:
        ours: (n,), n >= 2.
        theirs: (m,), m >= 2.
        resampled: (resamples, n) and (resamples, m) on the same resampled images.
        images: how many images were measured on.
    """
    n, shared = len(ours), None
    if resampled is not None:
        both = np.cov(_complete(np.concatenate(resampled, axis=1)), rowvar=False)
        common = _mean_off_diagonal(both[:n, :n]) + _mean_off_diagonal(both[n:, n:]) - 2 * float(both[:n, n:].mean())
        shared = Part(max(0.0, common), images - 1)
    return Estimate(float(ours.mean() - theirs.mean()), (_seeds(ours), _seeds(theirs)), shared)


def over_images(resampled: Floats, level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval of resampled values, (resamples,): of these runs, on other images like these."""
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def normal_quantile(level: float = LEVEL) -> float:
    """Return how many standard errors a two-sided interval of a normal variable reaches."""
    return float(ndtri((1 + level) / 2))


def holm(ps: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (Scandinavian Journal of Statistics, 1979), in the order given.

    Whoever calls those at most alpha real is wrong about any of them with probability alpha at most.
    """
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted


def seeds_needed(estimate: Estimate, alpha: float = 1 - LEVEL, power: float = POWER) -> int | None:
    """Return how many seeds would show the difference found, were it and the spread exactly the true ones.

    Args:
        estimate: a difference.
        alpha: two-sided; smaller when several comparisons are made.
        power: probability with which that many seeds would show it.

    Returns:
        The least number of seeds from LEAST_SEEDS on; None when MOST_SEEDS would not do, because the difference is
        tiny or because the images, of which more seeds make no more, cannot carry it.
    """
    if estimate.value == 0:
        return None
    one_seed = sum(part.variance * (part.freedom + 1) for part in estimate.seeds)
    for seeds in range(LEAST_SEEDS, MOST_SEEDS + 1):
        planned = Estimate(estimate.value, (Part(one_seed / seeds, seeds - 1),), estimate.images)
        if _shows(planned, alpha, power):
            return seeds
    return None


def seeds_planned(value: float, images: Part, seeds: float = 0.0, alpha: float = 1 - LEVEL) -> int | None:
    """Return how many seeds a verdict takes where fewer than LEAST_SEEDS were run, which show no usable spread.

    The least number, from LEAST_SEEDS on, whose interval leaves out zero, were the difference to stay as it is and the
    seeds to spread it as much as the choice of the images does, or as much as two seeds did if that is more.

    Args:
        value: the difference.
        images: its variance over resampled images.
        seeds: its variance over two seeds, 0 where only one was run.
        alpha: two-sided; smaller when several comparisons are made.

    Returns:
        None when MOST_SEEDS would not do: the images alone cannot carry such a difference.
    """
    one_seed = max(images.variance, seeds)
    for count in range(LEAST_SEEDS, MOST_SEEDS + 1):
        planned = Estimate(value, (Part(one_seed / count, count - 1),), images)
        low, high = planned.interval(1 - alpha)
        if low > 0 or high < 0:
            return count
    return None


def images_needed(estimate: Estimate, alpha: float = 1 - LEVEL, power: float = POWER) -> float | None:
    """Return how many times the images it would take with endless seeds; None when that many are there already."""
    if estimate.images is None or estimate.value == 0:
        return None
    endless = Estimate(estimate.value, (), estimate.images)
    if _shows(endless, alpha, power):
        return None
    return (endless.error * _reach(endless, alpha, power) / estimate.value) ** 2


def _reach(estimate: Estimate, alpha: float, power: float) -> float:
    return critical(estimate.parts, alpha) + critical(estimate.parts, 2 * (1 - power))


def _shows(estimate: Estimate, alpha: float, power: float) -> bool:
    return estimate.error == 0 or abs(estimate.value) >= estimate.error * _reach(estimate, alpha, power)


def _seeds(values: Floats) -> Part:
    return Part(float(values.var(ddof=1)) / len(values), len(values) - 1)


def _mean_off_diagonal(covariance: Floats) -> float:
    n = len(covariance)
    return float(covariance.sum() - np.trace(covariance)) / (n * (n - 1))


def _complete(resampled: Floats) -> Floats:
    """Leave out resamples in which something could not be measured (a class without any object)."""
    complete: Floats = resampled[np.isfinite(resampled).all(axis=1)]
    return complete
