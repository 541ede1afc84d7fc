"""What Detectron2's evaluators return -> the run record's metrics: percent, null where not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

from transfer.results import ALL_METRICS, METRICS, TASKS

PerTask = dict[str, dict[str, float | None]]


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


def table(metrics: PerTask) -> str:
    """Return the metrics as aligned text, one line per task; "-" is not measured."""
    lines = ["      " + "".join(f"{name:>8}" for name in METRICS)]
    for task, values in metrics.items():
        cells = ("-" if values[name] is None else f"{values[name]:.2f}" for name in METRICS)
        lines.append(f"{task:<6}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)
