"""The paired bootstrap over images: every run's AP on the same resampled val sets."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transfer.errors import InputError
from transfer.evaluation import weighted_ap
from transfer.evaluation.weighted_ap import Floats, Ints, Matches
from transfer.records.record import RESAMPLES as RESAMPLES
from transfer.records.record_file import TASKS, Record

SILENT = 3.0  # seconds in which nothing is said: most work is done by then

EVERY = 0.5  # seconds between two lines


RESAMPLED = ("AP", "AP50", "AP75")
PROTOCOLS = ("coco", "lvis", "voc2007", "voc2012")  # whose own metric is computed under image weights
READING = 0.3  # the share of a run's time that goes into reading and matching, about
TOLERANCE = 0.01  # points of AP between a record and its own detections


@dataclass(frozen=True)
class Resampled:
    """One run's values on the resampled val sets, in percent.

    Attributes:
        metrics: (task, metric) -> (resamples,), for RESAMPLED.
        classes: (task, class name) -> (resamples,); NaN where a resample has no object of the class.
        matches: task -> which detection stands for which object.
    """

    metrics: dict[tuple[str, str], Floats] = field(default_factory=dict)
    classes: dict[tuple[str, str], Floats] = field(default_factory=dict)
    matches: dict[str, Matches] = field(default_factory=dict)


@dataclass(frozen=True)
class Images:
    """What the images can say.

    Attributes:
        count: images measured on.
        resamples: how many resampled sets.
        runs: id of the record object -> its values; runs that kept no detections are not there.
        why: why ``runs`` is empty or not complete, "" when it is.
    """

    count: int
    resamples: int = 0
    runs: dict[int, Resampled] = field(default_factory=dict)
    why: str = ""

    def of(self, run: Record) -> Resampled | None:
        """Return a run's values, None when it has none."""
        return self.runs.get(id(run))


def weights(images: int, resamples: int, seed: int) -> Ints:
    """Return how often each image is in each resampled set, (resamples, images): drawn with replacement."""
    rng = np.random.default_rng(seed)
    drawn: NDArray[np.int64] = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    return drawn


def resample(records: Sequence[Record], resamples: int, seed: int) -> Images:
    """Resample the val images of comparable runs; progress goes to stderr when it takes long.

    Args:
        records: their ``detections`` are paths that can be opened from here.
        resamples: 2 or more.
        seed: decides the resampled sets.

    Raises:
        InputError: a file is there but is not what it should be, or a record's AP is not that of its detections.
    """
    val = records[0].data.val
    why = _why_not(records)
    if why:
        return Images(val.n_images, why=why)
    from transfer.comparison.matcher import Matcher  # the engines are loaded only when there is something to match

    kept = [run for run in records if run.detections is not None]
    with Progress("resampling images", len(kept), "runs") as progress:
        matcher = Matcher(Path(val.annotations), records[0].protocol)
        drawn = weights(matcher.images, resamples, seed)
        runs: dict[int, Resampled] = {}
        for run in kept:
            runs[id(run)] = found = Resampled()
            tasks = [task for task in TASKS if run.metrics[task]["AP"] is not None]
            read = matcher.read(Path(run.detections or ""), tasks)
            for task in tasks:
                matches = matcher.match(read, task)
                progress.add(READING / len(tasks))
                _one(run, task, matches, drawn, found, progress.part((1 - READING) / len(tasks)))
    missing = [run.name for run in records if run.detections is None]
    return Images(matcher.images, resamples, runs, f"{', '.join(missing)} kept no detections" if missing else "")


def _why_not(records: Sequence[Record]) -> str:
    """Return why the images cannot be resampled, "" when they can."""
    val = records[0].data.val
    annotations = Path(val.annotations)
    if all(run.detections is None for run in records):
        return "no run kept its detections"
    if records[0].protocol not in PROTOCOLS:
        return f"the metric's rules are those of {records[0].protocol}, and the bootstrap knows {', '.join(PROTOCOLS)}"
    if not annotations.is_file():
        return f"the val annotations are not at {annotations} any more"
    if hashlib.sha256(annotations.read_bytes()).hexdigest() != val.fingerprint:
        return f"{annotations} is not the file that the runs were measured on any more"
    return ""


def _one(
    run: Record, task: str, matches: Matches, drawn: Ints, found: Resampled, tell: Callable[[float], None]
) -> None:
    once = weighted_ap.summary(weighted_ap.average_precision(matches, np.ones((1, drawn.shape[1]), dtype=np.int64)))
    recorded, again = run.metrics[task]["AP"], float(np.nan_to_num(once["AP"][0]))
    if recorded is None or abs(recorded - again) > TOLERANCE:
        raise InputError(
            f"{run.detections}: expected the detections behind {run.name}'s record ({task} AP {recorded}), found "
            f"others ({task} AP {again:.3f}); evaluate the run again"
        )
    resampled = weighted_ap.average_precision(matches, drawn, tell)
    for metric, values in weighted_ap.summary(resampled).items():
        found.metrics[task, metric] = values
    for name, values in zip(matches.classes, weighted_ap.per_class(resampled).T, strict=True):
        found.classes[task, name] = values
    found.matches[task] = matches


class Progress:
    """How far the work of a ``with`` block is; where stderr is no terminal, nothing is said."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        """Begin now.

        Args:
            what: is being done.
            total: how many of ``unit`` there are.
            unit: in the plural.
        """
        self._what, self._total, self._unit = what, total, unit
        self._done, self._start, self._said = 0.0, time.monotonic(), 0.0

    def add(self, share: float) -> None:
        """Say that ``share`` of a unit more is done."""
        self._done += share
        now = time.monotonic()
        if now - self._start < SILENT or now - self._said < EVERY or not sys.stderr.isatty():
            return
        self._said = now
        left = (now - self._start) / self._done * (self._total - self._done)
        done = f"{self._done:.1f}".removesuffix(".0")
        text = f"{self._what}: {done} of {self._total} {self._unit}, {left:.0f} s left"
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def part(self, whole: float) -> Callable[[float], None]:
        """Return what adds shares of ``whole`` units."""
        return lambda share: self.add(whole * share)

    def __enter__(self) -> Progress:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away, before anything else is said."""
        if self._said:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
