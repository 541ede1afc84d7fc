"""The experiment in one picture: every seed's AP by start, and against what it cost and what cheaper numbers said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.evidence.findings import Finding
from transfer.drawing.png_grid import PALETTE
from transfer.reporting.curves import Finetuning
from transfer.reporting.summary import Summary

MARKS = "osD^vPX*"


def draw(
    findings: Sequence[Finding], run: str, summary: Summary, curve: Finetuning | None, caption: str, out: Path
) -> None:
    """Write the picture of the fine-tuning ``run`` as PNG.

    Args:
        findings: the cells at equal compute.
        run: such as labels_10.
        summary: the report's, for means and 95 % intervals.
        curve: of random weights, measured along the way; None leaves that panel out.
        caption: what it was measured on.
        out: the file.
    """
    starts = list(dict.fromkeys(f.cell.init.name for f in findings))
    figure = Figure(figsize=(11, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    _starts(axes[0, 0], findings, starts, run, summary)
    _scatter(axes[0, 1], findings, starts, run, lambda f: f.knn, "5-nn accuracy of the frozen features, %")
    _scatter(axes[1, 0], findings, starts, run, lambda f: f.seconds / 60, "pretraining, minutes of this machine")
    if curve is not None:
        _curve(axes[1, 1], curve)
    else:
        axes[1, 1].set_axis_off()
    handles, labels = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(5, len(starts)), frameon=False)
    figure.supxlabel(caption, fontsize=9, color="0.35")
    figure.savefig(out, dpi=110)


def _starts(axes: Axes, findings: Sequence[Finding], starts: Sequence[str], run: str, summary: Summary) -> None:
    """Each start's seeds, their mean and its 95 % interval."""
    share = float(run.rpartition("_")[2]) / 100
    groups = {g.init: g for g in summary.groups if g.fraction is not None and abs(g.fraction - share) < 1e-6}
    for row, start in enumerate(starts):
        aps = [f.mask_ap[run] for f in findings if f.cell.init.name == start and run in f.mask_ap]
        axes.plot(aps, [row] * len(aps), MARKS[row % len(MARKS)], color=_colour(row), alpha=0.55, markersize=6)
        value = groups[start].values["segm", "AP"] if start in groups else None
        if value is not None:
            axes.plot([value.mean], [row], "|", color="black", markersize=16, markeredgewidth=2)
        if value is not None and value.interval is not None:
            axes.plot(value.interval, [row] * 2, color="black", linewidth=1.2, zorder=1)
    axes.set_yticks(range(len(starts)), starts)
    axes.invert_yaxis()
    axes.set_ylim(len(starts) - 0.4, -0.6)
    axes.set_xlabel("mask AP, % (each seed, mean, 95 % interval)")
    _tidy(axes)


def _scatter(
    axes: Axes, findings: Sequence[Finding], starts: Sequence[str], run: str, of: Callable[[Finding], float], label: str
) -> None:
    for row, start in enumerate(starts):
        found = [f for f in findings if f.cell.init.name == start and run in f.mask_ap]
        points = [of(f) for f in found], [f.mask_ap[run] for f in found]
        axes.plot(*points, MARKS[row % len(MARKS)], color=_colour(row), label=start, markersize=7, linestyle="none")
    axes.set_xlabel(label)
    axes.set_ylabel("mask AP, %")
    _tidy(axes)


def _curve(axes: Axes, curve: Finetuning) -> None:
    for task, name, style in (("bbox", "box", "--"), ("segm", "mask", "-")):
        points = curve.ap.get(task, ())
        axes.plot([x for x, _ in points], [y for _, y in points], style, marker="o", color="0.25", label=f"{name} AP")
    axes.set_xlabel("iterations from random weights (seed 0, on a fifth of train)")
    axes.set_ylabel("AP, %")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _tidy(axes)


def _colour(row: int) -> str:
    return "0.45" if row == 0 else PALETTE[(row - 1) % len(PALETTE)]


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
