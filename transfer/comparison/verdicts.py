"""What the differences mean, in plain words: better, worse, or what it would take to tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from transfer.comparison import intervals
from transfer.comparison.bootstrap import ImageResamples
from transfer.comparison.compare import Difference, Group, difference
from transfer.comparison.intervals import LEAST_SEEDS, LEVEL, MOST_SEEDS, Estimate, Part
from transfer.records.record import TASKS

BETTER, WORSE, UNKNOWN = "better", "worse", "cannot tell"
TOO_SMALL = "too small a difference for this val set"
ENOUGH = 10.0  # times the images; beyond that no number of images is worth naming


@dataclass(frozen=True)
class Verdict:
    """One start against the baseline at one label fraction, on AP of one task.

    Attributes:
        ours: the start.
        baseline: what it is compared with.
        task: "bbox" or "segm".
        difference: of AP.
        p: two-sided; null without three seeds.
        adjusted: p after Holm's correction over the comparisons of this task in the report.
        word: BETTER, WORSE or UNKNOWN.
        needs: what it would take to tell, e.g. "needs about 4 more seeds"; "" when it can be told.
    """

    ours: Group
    baseline: Group
    task: str
    difference: Difference
    p: float | None
    adjusted: float | None
    word: str
    needs: str

    def __str__(self) -> str:
        """The word and what it needs."""
        return f"{self.word}: {self.needs}" if self.needs else self.word


def judge(groups: Sequence[Group], baseline: str | None, images: ImageResamples | None = None) -> list[Verdict]:
    """Compare every start with the baseline of the same label fraction; Holm's correction goes over one task.

    Args:
        groups: from ``compare.group``.
        baseline: the baseline's name; None compares nothing.
        images: what resampling gave.

    Returns:
        Box AP first, then mask AP, each in the order of ``groups``; starts without a baseline, and what was not
        measured, are left out.
    """
    bases = {g.fraction: g for g in groups if g.init == baseline}
    verdicts = []
    for task in TASKS:
        rows = []
        for ours in groups:
            base = bases.get(ours.fraction)
            if base is not None and ours is not base:
                diff = difference(ours, base, task, "AP", images)
                if diff is not None:
                    rows.append((ours, base, diff))
        ps = [None if diff.estimate is None else diff.estimate.p() for _, _, diff in rows]
        tested = [p for p in ps if p is not None]
        adjusted = iter(intervals.holm(tested))
        for (ours, base, diff), p in zip(rows, ps, strict=True):
            corrected = None if p is None else next(adjusted)
            word = _word(diff, corrected)
            needs = ""
            if word == UNKNOWN and diff.estimate is not None:
                needs = _needs(diff, diff.estimate, len(tested))
            elif word == UNKNOWN:
                needs = _plan(diff, len(rows), 0 if images is None else images.count)
            verdicts.append(Verdict(ours, base, task, diff, p, corrected, word, needs))
    return verdicts


def primary(groups: Sequence[Group]) -> str:
    """Return the task that the report's first sentence is about: masks where every run has them, else boxes."""
    return "segm" if all(group.values["segm", "AP"] is not None for group in groups) else "bbox"


def _word(diff: Difference, adjusted: float | None) -> str:
    if adjusted is None or adjusted > 1 - LEVEL or diff.mean == 0:
        return UNKNOWN
    return BETTER if diff.mean > 0 else WORSE


def _plan(diff: Difference, comparisons: int, images: int) -> str:
    """Say what a verdict takes where fewer than LEAST_SEEDS were run: ``intervals.seeds_planned``."""
    if diff.interval is None or images < 2 or diff.interval[0] == diff.interval[1]:
        return f"needs at least {_count(LEAST_SEEDS - diff.n, 'more seed')}"
    error = (diff.interval[1] - diff.interval[0]) / (2 * intervals.normal_quantile(LEVEL))
    shared = Part(error**2, images - 1)
    alpha = (1 - LEVEL) / comparisons
    seeds = intervals.seeds_planned(diff.mean, shared, (diff.std or 0.0) ** 2, alpha)
    if seeds is not None:
        return f"needs at least {_count(seeds - diff.n, 'more seed')}"
    return _more_images(Estimate(diff.mean, (), shared), alpha) or TOO_SMALL


def _needs(diff: Difference, estimate: Estimate, comparisons: int) -> str:
    """Say what it would take: seeds, images, or neither."""
    alpha = (1 - LEVEL) / comparisons  # Holm's first, strictest step
    alone = diff.interval is not None and not diff.interval[0] <= 0 <= diff.interval[1]
    why = f" among {comparisons} comparisons" if alone else ""
    seeds = intervals.seeds_needed(estimate, alpha)
    if seeds is not None:
        return f"needs about {_count(max(1, seeds - diff.n), 'more seed')}{why}"
    return _more_images(estimate, alpha) or f"needs more than {MOST_SEEDS} seeds"


def _more_images(estimate: Estimate, alpha: float) -> str:
    """Say how many images it would take; "" where the images that are there would do."""
    times = intervals.images_needed(estimate, alpha)
    if times is None:
        return ""
    if times <= ENOUGH:
        return f"needs about {math.ceil(times * 10) / 10:g} times the val images, not more seeds"
    return TOO_SMALL


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
