"""``report.html``: one file that opens offline, made of the summary, the figures and the gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from transfer.comparison.compare import Group
from transfer.drawing import charts, svg_overlay
from transfer.records.record import TASKS
from transfer.records.stages import Stage
from transfer.reporting.class_table import class_table
from transfer.reporting.cost_figure import cost_figure
from transfer.reporting.curves import Finetuning, Pretraining
from transfer.reporting.detail_figures import confusions, precision_recall, sizes
from transfer.reporting.extra_tables import COST, Known, Table
from transfer.reporting.figures import KINDS, Figure, Figures
from transfer.reporting.gallery import Gallery
from transfer.reporting.gallery_page import gallery_data
from transfer.reporting.markdown import SHOWN
from transfer.reporting.pretraining_figures import pretraining
from transfer.reporting.published import PublishedDetector, PublishedFeatures
from transfer.reporting.summary import Summary
from transfer.reporting.wording import DASH, NAMES, answers, caveats, limits, minus, number, percent, settings, signed

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("report.js", "gallery.js")


@dataclass(frozen=True)
class Extras:
    """What a report shows besides the records.

    Attributes:
        finetuning: id of the record object -> its curves.
        pretraining: pretraining runs that were given.
        published: rows of the same detector, data and schedule.
        apart: every other published row, where asked for.
        frozen: published frozen-feature results, where asked for.
        stages: commands that led here.
        tables: what several label shares, probes and costs have to say.
        known: id of the record object -> what a study knows of the run.
        date: on which the report was written, YYYY-MM-DD; "" says none.
        files: names of what lies beside the page, and what it is for.
    """

    finetuning: dict[int, Finetuning] = field(default_factory=dict)
    pretraining: Sequence[Pretraining] = ()
    published: Sequence[PublishedDetector] = ()
    apart: Sequence[PublishedDetector] = ()
    frozen: Sequence[PublishedFeatures] = ()
    stages: Sequence[Stage] = ()
    tables: Sequence[Table] = ()
    known: Known = field(default_factory=dict)
    date: str = ""
    files: Sequence[tuple[str, str]] = ()


def page(summary: Summary, shown: Gallery, score: float, extras: Extras) -> str:
    """Return the report as one HTML file without a single address outside itself."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["code"] = _code
    figures = Figures(summary)
    tasks = [task for task in reversed(TASKS) if any(g.values[task, "AP"] is not None for g in summary.groups)]
    sections = [
        _section("evidence", "Differences", {task: figures.evidence(task) for task in tasks}),
        _section("behind", "Behind the mean", {task: _behind(figures, task) for task in tasks}),
        _section("confusion", "What is taken for what", {"": confusions(shown.confusions, figures)}),
        _section("training", "Fine-tuning", {"": figures.finetuning(extras.finetuning)}),
        _section("pretraining", "Pretraining", {"": pretraining(extras.pretraining)}),
    ]
    classes = class_table(summary, score)
    return environment.get_template("report.html").render(
        title=f"Transfer to detection: {', '.join(summary.inits)}",
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8") + svg_overlay.style()),
        script=Markup("".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)),
        answers=[minus(text) for text in answers(summary)],
        caveats=caveats(summary),
        tiles=_tiles(summary),
        tasks=[(task, NAMES[task]) for task in tasks],
        metrics=SHOWN,
        several=len(summary.fractions) > 1,
        baseline=summary.baseline,
        rows=[_row(summary, group, tasks, figures) for group in summary.groups],
        note=_note(summary),
        published=[_published(row, tasks) for row in extras.published],
        apart=[(row.protocol, _published(row, TASKS)) for row in extras.apart],
        frozen=extras.frozen,
        sections=[section for section in sections if section["figures"]],
        gallery=gallery_data(shown, score),
        facts=settings(summary),
        weights=_weights(summary),
        runs=_runs(summary),
        stages=extras.stages,
        tables=[_table(table, figures, extras.known) for table in (classes, *extras.tables)],
        dash=DASH,
        date=extras.date,
        files=extras.files,
    )


def _code(text: str) -> Markup:
    """Return text whose parts between backticks are code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


def _section(name: str, title: str, by_task: Mapping[str, Sequence[Figure | None]]) -> dict[str, Any]:
    """Return the figures of the first task that has any; those of the other stand behind a line that opens them."""
    drawn = {task: [_figure(figure) for figure in some if figure] for task, some in by_task.items()}
    first, *others = [task for task, some in drawn.items() if some] or [""]
    more = [(f"The same for {NAMES[task].lower()}", drawn[task]) for task in others]
    return {"id": name, "title": title, "figures": drawn.get(first, []), "more": more}


def _behind(figures: Figures, task: str) -> list[Figure | None]:
    return [figures.classes(task), sizes(figures, task), figures.tide(task), precision_recall(figures, task)]


def _figure(figure: Figure) -> dict[str, Any]:
    legend = [(Markup(mark), name) for mark, name in figure.legend]
    return {"title": figure.title, "svg": Markup(figure.svg), "note": figure.note, "legend": legend}


def _table(table: Table, figures: Figures, known: Known) -> dict[str, Any]:
    figure = cost_figure(figures, known) if table.id == COST else None
    left = [all(row[i][:1] not in f"0123456789+-{DASH}" for row in table.rows) for i in range(len(table.header))]
    table = replace(table, rows=[[minus(text) for text in row] for row in table.rows])
    return {"table": table, "left": left, "figure": _figure(figure) if figure else None}


def _tiles(summary: Summary) -> list[tuple[str, str]]:
    """Return what was measured, in a few words each."""
    first = summary.records[0]
    val = first.data.val
    tiles = [
        ("runs", f"{len(summary.records)}" + (f", {summary.seeds} seeds" if summary.seeds > 1 else "")),
        ("val set", f"{val.n_images} images, {val.n_instances} objects, {len(val.classes)} classes"),
    ]
    if first.data.train is not None:
        tiles.append(("training set", f"{max(r.data.train.n_images for r in summary.records if r.data.train)} images"))
    if first.config is not None:
        tiles.append(("detector", Path(first.config.file).stem))
    if first.schedule is not None:
        tiles.append(("schedule", f"{first.schedule.max_iter} iterations × {first.schedule.batch} images"))
    return [*tiles, ("measured by", f"{first.engine}, {first.protocol} rules")]


def _row(summary: Summary, group: Group, tasks: Sequence[str], figures: Figures) -> dict[str, Any]:
    cells: list[dict[str, Any]] = []
    for task in tasks:
        for metric in SHOWN:
            value = group.values[task, metric]
            cells.append({"text": number(value), "sort": "" if value is None else value.mean, "strong": metric == "AP"})
            if metric == "AP":
                cells.append(_delta(summary, group, task))
    return {
        "init": group.init,
        "mark": Markup(charts.mark(figures.series[group.init])),
        "labels": percent(group.fraction),
        "fraction": group.fraction or "",
        "n": len(group.runs),
        "cells": cells,
        "baseline": group.init == summary.baseline,
    }


def _delta(summary: Summary, group: Group, task: str) -> dict[str, Any]:
    verdict = summary.verdict(group, task)
    if verdict is None:
        return {"text": "baseline" if group.init == summary.baseline else DASH, "base": True}
    diff = verdict.difference
    return {
        "text": signed(diff.mean).replace("-", "−"),
        "sort": diff.mean,
        "limits": limits(diff.interval).replace("-", "−"),
        "kind": KINDS.get(verdict.word, "unknown"),
        "word": verdict.word,
        "needs": verdict.needs,
    }


def _note(summary: Summary) -> str:
    text = "AP in percent, mean ± sample standard deviation over n runs. Δ: percentage points, with its 95 % interval."
    if summary.tested > 1:
        text += f" Verdicts hold for the {summary.tested} comparisons of each task together (Holm)."
    return text


def _published(row: PublishedDetector, tasks: Sequence[str]) -> dict[str, Any]:
    cells = []
    for task in tasks:
        metrics = row.metrics[task]
        for name in SHOWN:
            value = None if metrics is None else metrics[name]
            text = DASH if value is None else f"{value:.1f}"
            cells.append({"text": text, "sort": "" if value is None else value, "strong": name == "AP"})
    return {"name": row.name, "cells": cells, "source": row.source, "status": row.status, "note": row.note}


def _weights(summary: Summary) -> list[list[str]]:
    rows = []
    for init, weights in summary.weights:
        if weights is None:
            rows.append([init, "random initialisation" if init == "random" else DASH, DASH, DASH])
        else:
            rows.append([init, weights.file, f"{weights.loaded}/{weights.expected}", weights.sha256[:12]])
    return rows


def _runs(summary: Summary) -> list[list[str]]:
    rows = []
    for group in summary.groups:
        for run in group.runs:
            aps = [DASH if (ap := run.metrics[task]["AP"]) is None else f"{ap:.2f}" for task in reversed(TASKS)]
            seconds = [DASH if s is None else f"{s:.0f}" for s in (run.seconds.train, run.seconds.evaluate)]
            seed = DASH if run.seed is None else str(run.seed)
            rows.append([run.name, group.init, percent(group.fraction), seed, *aps, *seconds, run.device])
    return rows
