"""Curves of a training as PNGs: the only file here that imports matplotlib, by its object API, without a display."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008): told apart with every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_WIDTH, _HEIGHT, _DPI = 4.2, 2.9, 100  # inches per panel

Curve = tuple[str, Sequence[int], Sequence[float]]  # label, iterations, values


def curves_png(panels: Sequence[tuple[str, Sequence[Curve]]], *, log_scale: bool = False, marks: int = 0) -> bytes:
    """A PNG with a panel per group of curves over the iterations, three in a row.

    Args:
        panels: (title, curves); values that are not finite leave a gap.
        log_scale: a logarithmic y axis; values that are not above 0 leave a gap.
        marks: an iteration to mark with a vertical line, such as the first meta step; 0 for none.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = _figure(columns, rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, curves) in zip(grid, panels, strict=False):
        for colour, (label, x, y) in zip(COLOURS, curves, strict=False):
            values = np.asarray(y, dtype=float)
            values[~np.isfinite(values) | (log_scale & (values <= 0))] = np.nan
            marker = "." if len(values) < 30 else None
            axes.plot(x, values, color=colour, label=label, linewidth=1.4, marker=marker)
        if log_scale:
            axes.set_yscale("log")
        if marks:
            axes.axvline(marks, color="0.6", linewidth=0.8, linestyle=":")
        _dress(axes, title, legend=len(curves) > 1)
        axes.set_xlabel("iteration")
    for axes in grid[len(panels) :]:
        axes.remove()
    return _png(figure)


def histograms_png(snapshots: Mapping[int, Sequence[float]], title: str) -> bytes:
    """A PNG with a histogram per snapshot of values, on common axes as wide as they spread: iteration -> values."""
    columns = min(4, len(snapshots))
    rows = -(-len(snapshots) // columns)
    figure = _figure(columns, rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    grid = panels.ravel()
    values = np.concatenate([np.asarray(v) for v in snapshots.values()])
    margin = max(0.05 * np.ptp(values), 1e-4)  # a mask moves little: its own range shows what 0-1 would hide
    bins = np.linspace(values.min() - margin, values.max() + margin, 51)
    for axes, (iteration, weights) in zip(grid, snapshots.items(), strict=False):
        axes.hist(weights, bins=bins, color=COLOURS[0])
        axes.set_yscale("symlog", linthresh=10)  # one bar of all dimensions beside a thin tail
        _dress(axes, f"iteration {iteration}", legend=False)
        axes.set_xlabel(title)
    for axes in panels[:, 0]:
        axes.set_ylabel("dimensions")
    for axes in grid[len(snapshots) :]:
        axes.remove()
    return _png(figure)


def _figure(columns: int, rows: int) -> Figure:
    figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _dress(axes: Axes, title: str, *, legend: bool) -> None:
    axes.set_title(title, fontsize=10)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if legend:
        axes.legend(fontsize=8, frameon=False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
