"""The experiment's report and tables, of all cells that are there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.evidence import figures, tables
from benchmarks.evidence.cells import COMPUTE, EPOCHS, cells
from benchmarks.evidence.findings import Finding, collect, runs
from benchmarks.evidence.plan import Plan
from benchmarks.evidence.sizes import Size
from benchmarks.outputs import Failed
from transfer.comparison.bootstrap import RESAMPLES, resample
from transfer.comparison.comparable import check_comparable
from transfer.records.record_file import FILE_NAME, read_run
from transfer.reporting import curves
from transfer.reporting.markdown import headline, words
from transfer.reporting.summary import Summary, summarise

TABLES, PICTURE = "tables.md", "evidence.png"


def write(size: Size, plan: Plan, out: Path, keep: Path | None) -> None:
    """Write the reports, the tables and the picture into ``out``, print the tables, and copy what is kept.

    Raises:
        Failed: no cell is finished, or a report could not be made.
    """
    compute = collect([c for c in cells(size) if c.equal == COMPUTE], size, out)
    epochs = collect([c for c in cells(size) if c.equal == EPOCHS], size, out)
    if not compute:
        raise Failed(f"{out}: expected finished cells, found none yet; leave --only out or wait for them")
    parts = [tables.setting(size, plan), "### The plan", tables.plan_table(plan)]
    summaries = []
    for title, names in _reports(size):
        found = [f.cell.folder(out) / name for f in compute for name in names]
        folders = [folder for folder in found if (folder / FILE_NAME).exists()]
        report(folders, out / title)
        summaries.append(summary := _summary(folders))
        parts += [f"### {_heading(title)}", headline(summary), "\n".join(words(summary))]
    parts += ["### What cheaper numbers said", tables.cheap_table(compute, size), tables.correlations(compute, size)]
    if any(f.mask for f in compute):
        parts += ["### What the masks learned", tables.mask_table(compute)]
    if epochs:
        parts += [f"### At equal epochs ({size.epochs})", tables.cheap_table(epochs, size)]
    text = "\n\n".join(parts) + "\n"
    (out / TABLES).write_text(text, encoding="utf-8")
    curve = curves.finetuning(out / "search" / "random_curve")
    figures.draw(compute, runs(size)[0], summaries[0], curve, _caption(plan), out / PICTURE)
    print(text)
    if keep is not None:
        _keep(compute + epochs, out, keep)


def report(folders: Sequence[Path], out: Path) -> None:
    """Make ``transfer report`` of finished runs.

    Raises:
        Failed: it said why not.
    """
    arguments = ["transfer", "report", *map(str, folders), "--out", str(out), "--force"]
    done = subprocess.run([sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, env={**os.environ})
    if done.returncode:
        raise Failed(f"`python -m {' '.join(arguments)}` ended with {done.returncode}")


def _reports(size: Size) -> list[tuple[str, list[str]]]:
    """Folder of each report and the runs in it: fine-tuned with any share of the labels together, frozen apart."""
    fine = [name for name in runs(size) if name.startswith("labels")]
    frozen = [name for name in runs(size) if name.startswith("frozen")]
    return [("report", fine), *([("report_frozen", frozen)] if frozen else [])]


def _heading(title: str) -> str:
    return "Fine-tuned, at equal compute" if title == "report" else "On a frozen backbone, at equal compute"


def _summary(folders: Sequence[Path]) -> Summary:
    records = [read_run(folder) for folder in folders]
    check_comparable(records)
    return summarise(records, None, resample(records, RESAMPLES, 0))


def _caption(plan: Plan) -> str:
    return f"{plan.data['val']} val images, {plan.machine}"


def _keep(findings: Sequence[Finding], out: Path, keep: Path) -> None:
    """Copy what the page rests on: plan, tables, picture, results, and each cell's records and log; no weights."""
    keep.mkdir(parents=True, exist_ok=True)
    for name in ("plan.json", TABLES, PICTURE):
        shutil.copyfile(out / name, keep / name)
    for title in ("report", "report_frozen"):
        if (out / title / "results.json").exists():
            shutil.copyfile(out / title / "results.json", keep / f"{title}.json")
    cells = {f.cell.name: _raw(f, out) for f in findings}
    (keep / "cells.json").write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")


def _raw(finding: Finding, out: Path) -> dict[str, object]:
    judged = json.loads((finding.cell.folder(out) / "knn.json").read_text(encoding="utf-8"))
    return {
        "seconds": round(finding.seconds, 1),
        "iterations": finding.iterations,
        "knn": judged,
        "box_ap": finding.box,
        "mask_ap": finding.mask_ap,
        "mask": finding.mask,
    }
