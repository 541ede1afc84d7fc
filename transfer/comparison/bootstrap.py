"""The paired bootstrap over images: every run's AP on the same resampled val sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from transfer.errors import InputError
from transfer.evaluation import weighted_ap
from transfer.evaluation.weighted_ap import Floats, Ints, MatchedClasses
from transfer.progress import progress
from transfer.records.record import RESAMPLES as RESAMPLES
from transfer.records.record import TASKS, Record
from transfer.records.unchanged import why_changed

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
    matches: dict[str, MatchedClasses] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageResamples:
    """Every run's AP on the same resampled sets of val images: what the choice of images does to a result.

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


def resample(records: Sequence[Record], resamples: int, seed: int) -> ImageResamples:
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
        return ImageResamples(val.n_images, why=why)
    from transfer.comparison.matcher import Matcher  # the engines are loaded only when there is something to match

    measurable = [run for run in records if run.detections is not None]
    with progress("resampling images", len(measurable), "runs") as line:
        matcher = Matcher(Path(val.annotations), records[0].protocol)
        drawn = weights(matcher.images, resamples, seed)
        runs: dict[int, Resampled] = {}
        for run in measurable:
            runs[id(run)] = resampled = Resampled()
            tasks = [task for task in TASKS if run.metrics[task]["AP"] is not None]
            detections = matcher.read(Path(run.detections or ""), tasks)
            for task in tasks:
                matches = matcher.match(detections, task)
                line.update(READING / len(tasks))
                _one(run, task, matches, drawn, resampled, line, (1 - READING) / len(tasks))
    missing = [run.name for run in records if run.detections is None]
    return ImageResamples(
        matcher.images, resamples, runs, f"{', '.join(missing)} kept no detections" if missing else ""
    )


def _why_not(records: Sequence[Record]) -> str:
    """Return why the images cannot be resampled, "" when they can."""
    if all(run.detections is None for run in records):
        return "no run kept its detections"
    if records[0].protocol not in PROTOCOLS:
        return f"the metric's rules are those of {records[0].protocol}, and the bootstrap knows {', '.join(PROTOCOLS)}"
    return why_changed(records[0].data.val)


def _one(
    run: Record,
    task: str,
    matches: MatchedClasses,
    drawn: Ints,
    resampled: Resampled,
    line: tqdm,
    share: float,
) -> None:
    """Put one task's values into ``resampled``, once the record's own AP has come out again: ``share`` of a run."""
    once = weighted_ap.summary(weighted_ap.average_precision(matches, np.ones((1, drawn.shape[1]), dtype=np.int64)))
    recorded, again = run.metrics[task]["AP"], float(np.nan_to_num(once["AP"][0]))
    if recorded is None or abs(recorded - again) > TOLERANCE:
        raise InputError(
            f"{run.detections}: expected the detections behind {run.name}'s record ({task} AP {recorded}), found "
            f"others ({task} AP {again:.3f}); evaluate the run again"
        )
    ap = weighted_ap.average_precision(matches, drawn, lambda part: line.update(part * share))
    for metric, values in weighted_ap.summary(ap).items():
        resampled.metrics[task, metric] = values
    for name, values in zip(matches.classes, weighted_ap.per_class(ap).T, strict=True):
        resampled.classes[task, name] = values
    resampled.matches[task] = matches
