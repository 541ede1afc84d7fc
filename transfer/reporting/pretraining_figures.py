"""Figures of how pretraining went: its curves, and the last mask of each run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transfer.drawing import charts
from transfer.drawing.charts import Line
from transfer.reporting.curves import Pretraining
from transfer.reporting.figures import Figure, unchanged

LEAST_MASK = 0.02  # what the histogram of a mask covers at the least
# Not the sum of the losses: where they are balanced, it may rise while each of them falls.
PRETRAINING = {
    "contrastive": ("Contrastive loss", "loss"),
    "redundancy": ("Redundancy loss (Barlow Twins)", "loss"),
    "bootstrap": ("Bootstrap loss (BYOL)", "loss"),
    "dense": ("Dense contrastive loss (DenseCL)", "loss"),
    "mcr": ("L_mcr (CompMod)", "loss"),
    "effective_rank": ("Effective rank of the features", "dimensions"),
    "feature_std": ("Spread of the normalised features", "standard deviation"),
    "mask_spread": ("Spread of the mask", "its 95 % less its 5 % quantile"),
    "knn": ("kNN accuracy of the frozen features", "%"),
}


def pretraining(runs: Sequence[Pretraining]) -> list[Figure]:
    """Return the curves that show how pretraining went, and the last masks."""
    names = [run.method or run.name for run in runs]
    names = [f"{name}, {run.name}" if names.count(name) > 1 else name for name, run in zip(names, runs, strict=True)]
    figures = []
    for quantity, (title, unit) in PRETRAINING.items():
        curves = [Line(i + 1, names[i], run.curves[quantity]) for i, run in enumerate(runs) if run.curves.get(quantity)]
        if curves:
            legend = tuple((charts.mark(curve.series), curve.label) for curve in curves)
            word = "run" if len(curves) == 1 else "runs"
            images = "held-out training images" if quantity == "knn" else "the unlabelled images"
            note = f"{unchanged(curves)}n\u00a0=\u00a0{len(curves)} pretraining {word}; on {images}."
            figures.append(Figure(title, charts.lines(title, curves, "iteration", unit), note, legend))
    for name, run in zip(names, runs, strict=True):
        if run.mask:
            counts, edges = np.histogram(run.mask, bins=24, range=_wide(run.mask))
            title = f"Mask of {name}"
            unit, start = ("mask value, 0–1", "0.5") if run.mask_form == "sigmoid" else ("mask value", "1")
            svg = charts.histogram(title, edges.tolist(), counts.tolist(), unit, "feature dimensions")
            note = f"The last one kept; {len(run.mask)} feature dimensions; {start} at the start of training."
            figures.append(Figure(title, svg, note))
    return figures


def _wide(mask: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a mask's histogram, at least LEAST_MASK apart: a mask that has not spread is one bar."""
    low, high = min(mask), max(mask)
    room = max(0.0, LEAST_MASK - (high - low)) / 2
    return low - room, high + room
