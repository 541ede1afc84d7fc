"""The methods side by side: means over seeds with standard errors, paired differences, and the curves as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.learning.judge import Look, mean_and_error
from transfer.reporting.markdown import table

WITH_STATISTICS, AS_THEY_ARE = "random weights, statistics of the data", "random weights, as they are"
# Which row each part of the method is compared with: the same method without the part.
WITHOUT = {
    "metamask": "barlow_simclr",
    "metamask_compmod": "metamask",
    "simclr_compmod": "simclr",
    "barlow_compmod": "barlow_twins",
    "byol_compmod": "byol",
}


@dataclass(frozen=True)
class Row:
    """One method: its looks by seed, oldest first.

    Attributes:
        name: of the method.
        looks: seed -> looks.
        seconds: seed -> processor seconds of the training.
        mask: seed -> (5 %, 95 %) of the mask at the end; {} without a mask.
        shares: term -> mean share of the step's gradient, percent; {} where there is one term.
        course: logged quantities of the first seed's training, oldest first.
    """

    name: str
    looks: Mapping[int, Sequence[Look]]
    seconds: Mapping[int, float] = field(default_factory=dict)
    mask: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    course: Sequence[Mapping[str, float]] = ()

    def final(self, what: str) -> dict[int, float]:
        """Seed -> a quantity of the last look."""
        return {seed: float(getattr(looks[-1], what)) for seed, looks in self.looks.items()}


def as_table(rows: Sequence[Row]) -> str:
    """One line a method: kNN, linear probe and effective rank at the end, what it cost, what its parts did."""
    header = ["method", "n", "5-nn, %", "linear, %", "effective rank", "CPU s", "mask 5-95 %", "shares of the step, %"]
    cells = []
    for row in rows:
        mask = [f"{low:.3f}-{high:.3f}" for low, high in row.mask.values()][:1]
        cells.append(
            [
                row.name,
                str(len(row.looks)),
                _spread(list(row.final("knn").values()), 1),
                _spread(list(row.final("linear").values()), 1),
                _spread(list(row.final("effective_rank").values()), 0),
                _spread(list(row.seconds.values()), 0) if row.seconds else "–",
                mask[0] if mask else "–",
                ", ".join(f"{k} {v:.0f}" for k, v in row.shares.items()) or "–",
            ]
        )
    return table(header, cells)


def differences(rows: Sequence[Row], what: str = "knn") -> str:
    """What each part adds: the paired difference over the seeds that both rows have, with its standard error."""
    by_name = {row.name: row for row in rows}
    cells = []
    for name, base in WITHOUT.items():
        if name not in by_name or base not in by_name:
            continue
        ours, theirs = by_name[name].final(what), by_name[base].final(what)
        paired = [ours[s] - theirs[s] for s in sorted(ours.keys() & theirs.keys())]
        if paired:
            cells.append([f"{name} - {base}", str(len(paired)), _spread(paired, 2, sign=True)])
    return table(["difference at equal iterations", "n", "points"], cells) if cells else ""


def courses(rows: Sequence[Row], points: int = 7) -> str:
    """The mask and the terms' shares along the first seed's training, for every method with a mask."""
    cells = []
    for row in rows:
        lines = [line for line in row.course if "mask_p05" in line]
        chosen = sorted({round(k * (len(lines) - 1) / (points - 1)) for k in range(points)}) if lines else []
        for line in (lines[k] for k in chosen):
            shares = {k.removeprefix("share_"): 100 * v for k, v in line.items() if k.startswith("share_")}
            cells.append(
                [
                    row.name,
                    f"{line['iteration']:.0f}",
                    *(f"{line[key]:.3f}" for key in ("mask_p05", "mask_median", "mask_p95")),
                    f"{100 * line['mask_saturated']:.0f}",
                    ", ".join(f"{name} {share:.1f}" for name, share in shares.items()),
                ]
            )
    header = ["method", "iteration", "mask 5 %", "median", "95 %", "saturated, %", "shares of the step, %"]
    return table(header, cells) if cells else ""


def curves(rows: Sequence[Row], path: Path) -> None:
    """Mean accuracy of nearest neighbours and linear probe over the iterations, and the masks' spread."""
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    *probes, masks = figure.subplots(1, 3)
    _mask_bands(masks, rows)
    for axes, what in zip(probes, ("knn", "linear"), strict=True):
        for k, row in enumerate(rows):
            values = list(row.looks.values())
            steps = [look.iteration for look in values[0]]
            means = [sum(getattr(looks[t], what) for looks in values) / len(values) for t in range(len(steps))]
            if len(steps) == 1:
                axes.axhline(means[0], color="0.5", linestyle=":" if k % 2 else "--", label=row.name)
            else:
                axes.plot(steps, means, marker="o", markersize=3, color=f"C{k}", label=row.name)
        axes.set(xlabel="iteration", ylabel="%", title={"knn": "5 nearest neighbours", "linear": "linear probe"}[what])
        axes.grid(alpha=0.3)
    figure.axes[1].legend(fontsize=8, loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    path.write_bytes(buffer.getvalue())


def _mask_bands(axes: Axes, rows: Sequence[Row]) -> None:
    for k, row in enumerate(rows):
        lines = [line for line in row.course if "mask_p05" in line]
        if lines:
            low, high = ([line[key] for line in lines] for key in ("mask_p05", "mask_p95"))
            steps = [line["iteration"] for line in lines]
            axes.fill_between(steps, low, high, color=f"C{k}", alpha=0.35, label=row.name)
    axes.set(xlabel="iteration", ylim=(0, 1), title="mask, 5 % to 95 % of its dimensions")
    axes.grid(alpha=0.3)
    if axes.collections:
        axes.legend(fontsize=8, loc="lower right")


def _spread(values: Sequence[float], digits: int, *, sign: bool = False) -> str:
    mean, error = mean_and_error(values)
    text = f"{mean:{'+' if sign else ''}.{digits}f}"
    return text if error is None else f"{text} ± {error:.{digits}f}"
