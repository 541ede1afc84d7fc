"""What the experiment found, as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from benchmarks.evidence.findings import MASK, Finding, rank_correlation, runs
from benchmarks.evidence.plan import Plan
from benchmarks.evidence.sizes import RANDOM, Size
from transfer.reporting.markdown import table


def setting(size: Size, plan: Plan) -> str:
    """What was run, in words."""
    data = plan.data
    return (
        f"{data['unlabelled']} unlabelled, {data['train']} train and {data['val']} val images (fingerprint "
        f"{data['fingerprint']}); {size.budget:g} s of pretraining a cell, views of {size.view} px, batch "
        f"{size.pretraining['data.batch']}; {size.detector}, {size.iterations} iterations; seeds "
        f"{', '.join(map(str, size.seeds))}. {plan.machine}."
    )


def plan_table(plan: Plan) -> str:
    """Speed, length and learning rate of each start."""
    rates = list(next(iter(plan.endings.values())))
    header = ["start", "s / iteration", "iterations", *(f"at lr {rate}" for rate in rates), "lr taken"]
    rows = []
    for start, seconds in plan.seconds.items():
        losses = [
            "–" if e is None else f"{e.judged:.2f} ± {e.error:.2f}, {e.whole:.4g}" for e in plan.endings[start].values()
        ]
        rows.append([start, f"{seconds:.3f}", str(plan.iterations[start]), *losses, f"{plan.rates[start]:g}"])
    return table(header, rows)


def cheap_table(findings: Sequence[Finding], size: Size) -> str:
    """What each start cost and what was measured on it, means and standard deviations over seeds."""
    names = [name for name in runs(size) if any(name in f.mask_ap for f in findings)]
    header = [
        "start",
        "n",
        "minutes",
        "iterations",
        "5-nn, %",
        "effective rank",
        *(f"mask AP, {_said(n)}" for n in names),
    ]
    rows = []
    for start, found in _by_start(findings).items():
        aps = [_spread([f.mask_ap[name] for f in found if name in f.mask_ap]) for name in names]
        minutes = _spread([f.seconds / 60 for f in found])
        iterations = str(found[0].iterations)
        cheap = [_spread([f.knn for f in found]), _spread([f.rank for f in found])]
        rows.append([start, str(len(found)), minutes, iterations, *cheap, *aps])
    return table(header, rows)


def _said(name: str) -> str:
    kind, _, share = name.partition("_")
    return f"{share} % of the labels" if kind == "labels" else f"frozen, {share} %"


def correlations(findings: Sequence[Finding], size: Size) -> str:
    """Which cheap number ranks the cells as fine-tuning does."""
    run = runs(size)[0]
    numbers: dict[str, Callable[[Finding], float]] = {"5-nn": lambda f: f.knn, "effective rank": lambda f: f.rank}
    frozen = [name for name in runs(size) if name.startswith("frozen")]
    if frozen:
        numbers["frozen AP"] = lambda f: f.mask_ap[frozen[0]]
    groups = {"all cells": findings, "pretrained cells": [f for f in findings if f.cell.init.name != RANDOM]}
    rows = []
    for name, of in numbers.items():
        found = [rank_correlation(group, of, run) for group in groups.values()]
        rows.append([name, *("–" if c is None else f"{c[0]:+.2f} (n = {c[1]})" for c in found)])
    said = f"Spearman's rank correlation over cells with the mask AP of {_said(run)}:"
    return said + "\n\n" + table(["number", *groups], rows)


def mask_table(findings: Sequence[Finding]) -> str:
    """The masks at the end, means over seeds."""
    header = ["start", "n", *(key.removeprefix("mask_") for key in MASK)]
    rows = []
    for start, found in _by_start([f for f in findings if f.mask]).items():
        rows.append([start, str(len(found)), *(f"{fmean(f.mask[key] for f in found):.4f}" for key in MASK)])
    return table(header, rows)


def _by_start(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.cell.init.name, []).append(finding)
    return found


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{fmean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
