"""What Detectron2's evaluators return -> the run record's metrics: percent, null where not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

from transfer.datasets import CocoSet
from transfer.results import ALL_METRICS, METRICS, TASKS

PerTask = dict[str, dict[str, float | None]]

# pycocotools' area ranges, in pixels squared; both ends belong to the range.
AREAS = {"APs": (0, 32**2), "APm": (32**2, 96**2), "APl": (96**2, 1e10)}


def from_detectron2(results: Mapping[str, Mapping[str, float]], classes: tuple[str, ...]) -> tuple[PerTask, PerTask]:
    """Return (metrics, AP per class) as ``transfer.results.Record`` holds them.

    Args:
        results: task -> metric -> percent; -1 or NaN where there was nothing to measure, "AP-NAME" for each class.
        classes: class names; Detectron2 leaves out the AP of a single class, which is the task's AP.
    """
    metrics: PerTask = {}
    per_class: PerTask = {}
    for task in TASKS:
        found = results.get(task, {})
        metrics[task] = {name: percent(found.get(name)) for name in ALL_METRICS}
        names = classes if found else ()
        per_class[task] = {name: percent(found.get("AP" if len(classes) == 1 else f"AP-{name}")) for name in names}
    return metrics, per_class


def percent(value: float | None) -> float | None:
    """Return ``value``, or None when it stands for "not measured" (-1, NaN)."""
    return None if value is None or math.isnan(value) or value < 0 else float(value)


def without_detections(data: CocoSet, tasks: tuple[str, ...]) -> tuple[PerTask, PerTask]:
    """Return (metrics, AP per class) of a detector that found nothing: 0 where there was something to find.

    Detectron2 reports NaN for all of it, as if nothing had been measured.
    """
    objects = [a for a in data.content["annotations"] if not a.get("iscrowd")]
    zero: dict[str, float | None] = dict.fromkeys(ALL_METRICS)
    for name in METRICS:
        low, high = AREAS.get(name, (0, math.inf))
        zero[name] = 0.0 if any(low <= a["area"] <= high for a in objects) else None
    categories = sorted(data.content["categories"], key=lambda c: c["id"])
    present = {a["category_id"] for a in objects}
    classes: dict[str, float | None] = {c["name"]: 0.0 if c["id"] in present else None for c in categories}
    nothing: dict[str, float | None] = dict.fromkeys(ALL_METRICS)
    return (
        {task: dict(zero if task in tasks else nothing) for task in TASKS},
        {task: dict(classes if task in tasks else {}) for task in TASKS},
    )


def table(metrics: PerTask) -> str:
    """Return the metrics as aligned text, one line per task; "-" is not measured."""
    lines = ["      " + "".join(f"{name:>8}" for name in METRICS)]
    for task, values in metrics.items():
        cells = ("-" if values[name] is None else f"{values[name]:.2f}" for name in METRICS)
        lines.append(f"{task:<6}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)
