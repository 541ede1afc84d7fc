"""The report's figures behind the mean: object sizes, precision against recall, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transfer.comparison.compare import Group
from transfer.drawing import charts
from transfer.drawing.charts import ChartRow, Line
from transfer.drawing.matrix import matrix
from transfer.evaluation.confusion import Confusion, shortened
from transfer.evaluation.precision_recall import precision_curve
from transfer.evaluation.weighted_ap import RECALLS, Floats
from transfer.reporting.figures import Figure, Figures
from transfer.reporting.wording import NAMES, WORDS, percent

# Areas in pixels, COCO's: "small" below 32 x 32, "large" from 96 x 96 on.
SIZES = {"APs": "small, below 32²", "APm": "medium", "APl": "large, from 96²"}
MOST_CLASSES = 12  # in a confusion matrix as wide as a phone


def sizes(figures: Figures, task: str) -> Figure | None:
    """Return AP by the size of the objects, at the largest share of the labels; None where it was not measured."""
    groups = _shown(figures)
    rows = []
    for metric, name in SIZES.items():
        points = [figures.point(g, value) for g in groups if (value := g.values[task, metric]) is not None]
        if points:
            rows.append(ChartRow(name, tuple(points)))
    if not rows:
        return None
    title = f"{WORDS[task].capitalize()} AP by size of the objects"
    note = f"By area in pixels; bar: mean{_labels(figures)}; {figures.runs(groups)}; {figures.measured}."
    return Figure(title, charts.bars(title, rows, "AP, %"), note, figures.legend([g.init for g in groups]))


def precision_recall(figures: Figures, task: str) -> Figure | None:
    """Return precision against recall at IoU 0.5 and 0.75, mean over classes and runs; None without detections."""
    groups = _shown(figures)
    curves, shown = [], []
    for dashed, threshold in ((False, 0), (True, 5)):  # IoU 0.5 and 0.75
        for group in groups:
            curve = _mean_curve(figures, group, task, threshold)
            if curve is not None:
                points = tuple((float(100 * x), float(100 * y)) for x, y in zip(RECALLS, curve, strict=True))
                curves.append(Line(figures.series[group.init], group.init, points[::2], dashed=dashed))
                shown.append(group)
    if not curves:
        return None
    title = f"Precision against recall: {NAMES[task].lower()}"
    note = (
        "Whole line: IoU 0.5; dashed: 0.75; means over classes and runs. The area below is AP50 and AP75"
        f"{_labels(figures)}; {figures.runs(groups)}; {figures.measured}."
    )
    svg = charts.lines(title, curves, "recall, %", "precision, %", least=100.0)
    return Figure(title, svg, note, figures.legend([group.init for group in shown]))


def confusions(counted: Mapping[str, Confusion], figures: Figures) -> list[Figure]:
    """Return a confusion matrix of each run: objects by row, what they were detected as by column."""
    drawn = []
    for name, whole in counted.items():
        few = shortened(whole, MOST_CLASSES)
        title = f"What is taken for what: {name}"
        rows, columns = [*few.classes, "nothing there"], [*few.classes, "missed"]
        svg = matrix(title, rows, columns, few.counts.tolist(), "annotated", "detected as")
        note = (
            f"Objects, and detections where nothing is, with a score of at least {whole.score:g} at IoU 0.5, whatever "
            f"the class; tint: share of the row; n\u00a0=\u00a01 run; {figures.measured}."
        )
        drawn.append(Figure(title, svg, note))
    return drawn


def _shown(figures: Figures) -> list[Group]:
    return figures.summary.at(figures.summary.fractions[0])


def _labels(figures: Figures) -> str:
    return f"; {percent(figures.summary.fractions[0])} of the labels" if figures.several else ""


def _mean_curve(figures: Figures, group: Group, task: str, threshold: int) -> Floats | None:
    curves = []
    for run in group.runs:
        resampled = figures.summary.images.of(run)
        matches = None if resampled is None else resampled.matches.get(task)
        curve = None if matches is None else precision_curve(matches, threshold)
        if curve is None:
            return None
        curves.append(curve)
    mean: Floats = np.mean(curves, axis=0)
    return mean
