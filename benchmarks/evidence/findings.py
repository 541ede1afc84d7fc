"""What the cells that are there have found: numbers from their records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from benchmarks.evidence.cells import Cell, run_name
from benchmarks.evidence.sizes import Size
from pretrain.reporting.metrics_file import NAME, MetricsFile
from transfer.records.record_file import FILE_NAME, read_run

MASK = ("mask_p05", "mask_median", "mask_p95", "mask_saturated")


@dataclass(frozen=True)
class Finding:
    """One cell.

    Attributes:
        cell: which.
        seconds: of pretraining, measured, start-up and waiting at its end apart; 0 for random weights.
        iterations: of pretraining.
        knn, knn_error: 5-nn accuracy on cut-out val objects and its standard error, percent.
        rank: effective rank of the features of those objects.
        box, mask_ap: run's name (labels_10, frozen_10 ...) -> AP in percent.
        mask: quantiles of the learned mask at the end, values in (0, 1), and its saturated share; empty without one.
    """

    cell: Cell
    seconds: float
    iterations: int
    knn: float
    knn_error: float
    rank: float
    box: dict[str, float]
    mask_ap: dict[str, float]
    mask: dict[str, float]


def collect(cells: Iterable[Cell], size: Size, out: Path) -> list[Finding]:
    """The finished cells' numbers; a cell that lacks a record is left out."""
    return [finding for cell in cells if (finding := _collect(cell, size, out)) is not None]


def runs(size: Size) -> list[str]:
    """Names of the fine-tunings of a cell at equal compute."""
    return [run_name(share) for share in size.labels] + ([run_name(size.labels[0], True)] if size.frozen else [])


def _collect(cell: Cell, size: Size, out: Path) -> Finding | None:
    folder = cell.folder(out)
    found = [folder / name for name in runs(size) if (folder / name / FILE_NAME).exists()]
    if not (folder / "knn.json").exists() or not found:
        return None
    records = {run.name: read_run(run).metrics for run in found}
    judged = json.loads((folder / "knn.json").read_text(encoding="utf-8"))
    lines = MetricsFile(folder / "pretrain" / NAME).read()
    return Finding(
        cell,
        _seconds(lines, size.pretraining["data.batch"]),
        int(lines[-1]["iteration"]) if lines else 0,
        judged["results"]["top1"]["accuracy"],
        judged["results"]["top1"]["standard_error"],
        judged["effective_rank"]["value"],
        _measured(records, "bbox"),
        _measured(records, "segm"),
        next(({key: line[key] for key in MASK} for line in reversed(lines) if MASK[0] in line), {}),
    )


def _measured(records: Mapping[str, Mapping[str, Mapping[str, float | None]]], task: str) -> dict[str, float]:
    """AP by run; what was not measured is not there."""
    return {name: ap for name, metrics in records.items() if (ap := metrics[task]["AP"]) is not None}


def _seconds(lines: Sequence[dict[str, Any]], batch: int) -> float:
    """Training time: each line's speed is that of the iterations since the line before."""
    total, last = 0.0, 0
    for line in lines:
        total += (line["iteration"] - last) * batch / line["images_per_second"]
        last = line["iteration"]
    return total


def rank_correlation(findings: Sequence[Finding], of: Callable[[Finding], float], run: str) -> tuple[float, int] | None:
    """Spearman's correlation over cells of a number with the mask AP of ``run``, and over how many.

    None for fewer than 4 cells, and where all have the same number.
    """
    pairs = [(of(f), f.mask_ap[run]) for f in findings if run in f.mask_ap]
    numbers, aps = [a for a, _ in pairs], [b for _, b in pairs]
    if len(pairs) < 4 or min(len(set(numbers)), len(set(aps))) == 1:
        return None
    return float(spearmanr(numbers, aps).statistic), len(pairs)
