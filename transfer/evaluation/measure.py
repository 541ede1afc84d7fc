"""Ground truth and detections -> the metrics of a run record, in percent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transfer.errors import InputError
from transfer.evaluation import tide
from transfer.evaluation.detections import Detections
from transfer.evaluation.engines import ENGINES, Curves
from transfer.evaluation.ground_truth import GroundTruth
from transfer.records.record import ALL_METRICS, METRICS, TASKS, Tide

PerTask = dict[str, dict[str, float | None]]
# Largest difference between the engines that rounding explains, in percentage points.
TOLERANCE = 1e-9
_AREAS = {"s": 1, "m": 2, "l": 3}
_THRESHOLDS = {"AP50": 0, "AP75": 5}
_FREQUENCIES = {"APr": "r", "APc": "c", "APf": "f"}


@dataclass(frozen=True)
class Measured:
    """The metrics of one set of detections, as ``transfer.records.record.Record`` holds them."""

    metrics: PerTask
    per_class: PerTask
    tide: dict[str, Tide | None]
    cross_check: float | None


def measure(
    truth: GroundTruth, detections: Detections, engine: str = "hotcoco", *, cross_check: bool = False
) -> Measured:
    """Return the metrics of ``detections.tasks``; those of another task are null.

    Args:
        truth: what to find.
        detections: what was found.
        engine: "hotcoco" or "pycocotools".
        cross_check: measure with the other engine as well.

    Raises:
        InputError: the engines differ by more than rounding, or cannot read the masks.
    """
    metrics, per_class = average_precisions(truth, detections, engine)
    worst = _cross_check(truth, detections, engine, (metrics, per_class)) if cross_check else None
    return Measured(metrics, per_class, error_costs(truth, detections), worst)


def average_precisions(truth: GroundTruth, detections: Detections, engine: str = "hotcoco") -> tuple[PerTask, PerTask]:
    """Return (metrics, AP per class) of ``detections.tasks``; those of another task are null.

    Raises:
        InputError: the engine cannot read the masks.
    """
    metrics: PerTask = {task: dict.fromkeys(ALL_METRICS) for task in TASKS}
    per_class: PerTask = {task: {} for task in TASKS}
    for task in detections.tasks:
        metrics[task], per_class[task] = summarise(ENGINES[engine](truth, detections, task), truth)
    return metrics, per_class


def error_costs(truth: GroundTruth, detections: Detections) -> dict[str, Tide | None]:
    """Return what each kind of error costs in each of ``detections.tasks``; null for another task."""
    return {task: tide.errors(truth, detections, task) if task in detections.tasks else None for task in TASKS}


def summarise(curves: Curves, truth: GroundTruth) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return (metrics, AP per class): means as pycocotools' ``summarize`` takes them, over what is there."""
    precision, recall = curves.precision[..., -1], curves.recall  # AP is over the highest limit
    metrics: dict[str, float | None] = dict.fromkeys(ALL_METRICS)
    metrics["AP"] = _mean(precision[:, :, :, 0])
    for name, threshold in _THRESHOLDS.items():
        metrics[name] = _mean(precision[threshold, :, :, 0])
    for letter, area in _AREAS.items():
        metrics[f"AP{letter}"] = _mean(precision[:, :, :, area])
        metrics[f"AR{letter}"] = _mean(recall[:, :, area, -1])
    for m, limit in enumerate(curves.limits):
        metrics[f"AR{limit}"] = _mean(recall[:, :, 0, m])
    groups = np.array([truth.frequency.get(category) for category in truth.classes], dtype=object)
    for name, letter in _FREQUENCIES.items():
        metrics[name] = _mean(precision[:, :, groups == letter, 0])
    return metrics, {name: _mean(precision[:, :, k, 0]) for k, name in enumerate(truth.classes.values())}


def _mean(values: NDArray[np.float64]) -> float | None:
    measured = values[values > -1]
    return float(np.mean(measured)) * 100 if measured.size else None


def _cross_check(truth: GroundTruth, detections: Detections, engine: str, ours: tuple[PerTask, PerTask]) -> float:
    """Measure with the other engine; return the largest difference in percentage points."""
    other = next(name for name in ENGINES if name != engine)
    worst = 0.0
    for task in detections.tasks:
        theirs = summarise(ENGINES[other](truth, detections, task), truth)
        for mine, reference in zip(ours, theirs, strict=True):
            for name, value in mine[task].items():
                difference = _difference(value, reference[name])
                if difference > TOLERANCE:
                    raise InputError(
                        f"the engines disagree: expected the same {task} {name}, found {value} by {engine} and "
                        f"{reference[name]} by {other}; trust --engine pycocotools, and report this"
                    )
                worst = max(worst, difference)
    return worst


def _difference(a: float | None, b: float | None) -> float:
    if a is None or b is None:
        return 0.0 if a is b else math.inf
    return abs(a - b)


def table(metrics: PerTask) -> str:
    """Return the metrics as aligned text, one line per task; "-" is not measured."""
    lines = ["      " + "".join(f"{name:>8}" for name in METRICS)]
    for task, values in metrics.items():
        cells = ("-" if values[name] is None else f"{values[name]:.2f}" for name in METRICS)
        lines.append(f"{task:<6}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)
