"""The report as text: the table that ends the terminal output, and ``report.md`` around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from transfer.comparison.compare import Difference
from transfer.comparison.verdicts import Verdict
from transfer.records.record import TASKS
from transfer.records.stages import Stage
from transfer.reporting.extra_tables import Table
from transfer.reporting.published import PublishedDetector
from transfer.reporting.summary import Summary
from transfer.reporting.wording import DASH, WORDS, answer, caveats, limits, number, percent, settings, signed

SHOWN = ("AP", "AP50", "AP75")


@dataclass(frozen=True)
class Picture:
    """The report's picture: file name and caption, or why there is none."""

    file: str | None
    text: str


def to_markdown(
    summary: Summary,
    published: Sequence[PublishedDetector],
    stages: Sequence[Stage],
    picture: Picture,
    tables: Sequence[Table] = (),
) -> str:
    """Return ``report.md``: the answer first, then what it rests on."""
    parts = [f"# Transfer to detection: {', '.join(summary.inits)}", "", f"**{answer(summary)}**", ""]
    parts += [headline(summary), "", _units(summary), "", *words(summary), ""]
    if published:
        parts += ["## Published, same detector, data and schedule", "", published_table(published), ""]
    parts += [
        "## What was run",
        "",
        *(f"- {name}: {text}" for name, text in settings(summary)),
        "",
        _weights(summary),
        "",
        _runs(summary),
        "",
    ]
    for one in tables:
        parts += [f"## {one.title}", "", table(one.header, one.rows), "", one.note, ""]
    parts += ["## Classes", "", _classes(summary), ""]
    if stages:
        parts += ["## Stages", "", _stages(stages), ""]
    parts += ["## Pictures", ""]
    if picture.file:
        parts += [f"![ground truth and predictions]({picture.file})", ""]
    return "\n".join([*parts, picture.text, ""])


def headline(summary: Summary) -> str:
    """Return the table of means and, when there is a baseline, of the differences to it."""
    columns = [(task, metric) for task in TASKS for metric in SHOWN]
    several = len(summary.fractions) > 1
    header = ["start", *(["labels"] if several else []), "n", *(f"{WORDS[task]} {metric}" for task, metric in columns)]
    rows = []
    for fraction in summary.fractions:
        labels = [percent(fraction)] if several else []
        groups = summary.at(fraction)
        for group in groups:
            rows.append([group.init, *labels, str(len(group.runs)), *(number(group.values[c]) for c in columns)])
        base = summary.base(fraction)
        for group in groups:
            if base is not None and group is not base:
                cells = [_difference(summary.difference(group, *column)) for column in columns]
                rows.append([f"{group.init} minus {base.init}", *labels, "", *cells])
    return table(header, rows)


def words(summary: Summary) -> list[str]:
    """Return what the differences are in words, and what they can carry."""
    lines = []
    for group in summary.groups:
        verdicts = [v for task in reversed(TASKS) if (v := summary.verdict(group, task)) is not None]
        if verdicts:
            labels = f", {percent(group.fraction)} of the labels" if len(summary.fractions) > 1 else ""
            parts = "; ".join(map(_in_words, verdicts))
            lines.append(f"- **{group.init}** against {verdicts[0].baseline.init}{labels}: {parts}.")
    if not lines:
        lines = [answer(summary)]
        if summary.baseline is None:
            lines[0] += " `--baseline NAME` compares with another start."
    return [*lines, *(line for caveat in caveats(summary) for line in ("", caveat))]


def published_table(rows: Sequence[PublishedDetector]) -> str:
    """Return published results as a table; what was not read at its source says so."""
    lines = []
    for row in rows:
        cells = [row.metrics[task] for task in TASKS]
        aps = [DASH if not m or m[name] is None else f"{m[name]:.1f}" for m in cells for name in SHOWN]
        lines.append([row.name, *aps, row.status, row.source + (f" ({row.note})" if row.note else "")])
    header = ["start", *(f"{WORDS[task]} {metric}" for task in TASKS for metric in SHOWN), "status", "source"]
    return table(header, lines)


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table whose columns also line up as plain text, numbers to the right, words to the left."""
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    columns = list(zip(*lines, strict=True)) or [()] * len(header)
    numbers = [all(cell[:1] in f"0123456789+-{DASH}" for cell in column) for column in columns]  # also an empty cell
    sides = ["right" if all_numbers else "left" for all_numbers in numbers]
    heads = [cell.replace("|", "\\|").replace("\n", " ") for cell in header]
    text: str = tabulate(lines, heads, tablefmt="pipe", colalign=sides, disable_numparse=True)
    return text


def _in_words(verdict: Verdict) -> str:
    diff, task = verdict.difference, verdict.task
    ours, theirs = verdict.ours.values[task, "AP"], verdict.baseline.values[task, "AP"]
    assert ours is not None  # a difference has both sides
    assert theirs is not None
    change = (
        "the same" if round(diff.mean, 1) == 0 else f"{abs(diff.mean):.1f} points {'more' if diff.mean > 0 else 'less'}"
    )
    interval = f", 95 % interval {limits(diff.interval)} over {diff.basis}" if diff.interval else ""
    return f"{WORDS[task]} AP {change} ({theirs.mean:.1f} to {ours.mean:.1f}{interval}): **{verdict}**"


def _difference(diff: Difference | None) -> str:
    if diff is None:
        return DASH
    return signed(diff.mean) + (f" ± {diff.std:.1f}" if diff.std is not None else "")


def _units(summary: Summary) -> str:
    first = "AP in percent, differences in percentage points"
    if all(len(group.runs) == 1 for group in summary.groups):
        return first + "; n is the number of runs."
    text = "; mean ± sample standard deviation over n runs, for a difference over the pairs of the same seed."
    if summary.tested > 1:
        text += f" Verdicts hold for all {summary.tested} comparisons together (Holm); intervals are for each alone."
    return first + text


def _weights(summary: Summary) -> str:
    rows = []
    for init, weights in summary.weights:
        if weights is None:
            rows.append([init, "none: random initialisation", DASH, DASH])
        else:
            loaded = f"{weights.loaded}/{weights.expected}"
            rows.append([init, f"`{weights.file}`", loaded, f"`{weights.sha256[:12]}`"])
    return table(["start", "weights", "tensors loaded", "SHA-256"], rows)


def _runs(summary: Summary) -> str:
    rows = []
    for group in summary.groups:
        for r in group.runs:
            aps = [DASH if (ap := r.metrics[task]["AP"]) is None else f"{ap:.1f}" for task in TASKS]
            seconds = [DASH if s is None else f"{s:.0f}" for s in (r.seconds.train, r.seconds.evaluate)]
            seed = DASH if r.seed is None else str(r.seed)
            rows.append([r.name, group.init, percent(group.fraction), seed, *aps, *seconds])
    return table(["run", "start", "labels", "seed", "box AP", "mask AP", "training, s", "evaluation, s"], rows)


def _classes(summary: Summary) -> str:
    groups, rows = summary.groups, []
    several = len(summary.fractions) > 1
    names = [group.init + (f" {percent(group.fraction)}" if several else "") for group in groups]
    for name in groups[0].runs[0].data.val.classes:
        aps = [summary.class_ap(group, task, name) for task in TASKS for group in groups]
        rows.append([name, *map(number, aps)])
    return table(["class", *(f"{WORDS[task]} AP, {name}" for task in TASKS for name in names)], rows)


def _stages(stages: Sequence[Stage]) -> str:
    rows = [[stage.stage, f"{stage.seconds:.0f}"] for stage in stages]
    rows.append(["together", f"{sum(stage.seconds for stage in stages):.0f}"])
    commands = [line for stage in stages for line in (f"# {stage.stage}", stage.command)]
    return "\n".join([table(["stage", "seconds"], rows), "", "```sh", *commands, "```"])
