"""Every class: how many objects there are, each start's AP and how many detections it is made of."""

from __future__ import annotations

from statistics import fmean

from transfer.comparison.compare import Group
from transfer.reporting.extra_tables import Table
from transfer.reporting.summary import Summary
from transfer.reporting.wording import DASH, WORDS, number, percent, signed

CLASSES = "class-table"


def class_table(summary: Summary, score: float) -> Table:
    """Return a table with a line a class, of the report's task at the largest share of the labels.

    Args:
        summary: what the runs say.
        score: least score of the detections that are counted, 0-1.
    """
    task, fraction = summary.task, summary.fractions[0]
    groups, base = summary.at(fraction), summary.base(fraction)
    compared = [group for group in groups if base is not None and group is not base]
    header = ["class", "objects"]
    header += [f"{WORDS[task]} AP, {group.init}" for group in groups]
    header += [f"Δ, {group.init}" for group in compared]
    header += [f"detections, {group.init}" for group in groups]
    rows = []
    for name in summary.records[0].data.val.classes:
        differences = [summary.class_difference(group, task, name) for group in compared]
        rows.append(
            [
                name,
                _objects(summary, task, name),
                *(number(summary.class_ap(group, task, name)) for group in groups),
                *(DASH if one is None else signed(one.mean) for one in differences),
                *(_detections(summary, group, task, name, score) for group in groups),
            ]
        )
    labels = f", {percent(fraction)} of the labels" if len(summary.fractions) > 1 else ""
    against = f" Δ: percentage points over {base.init}." if base is not None and compared else ""
    counted = f"Detections with a score of at least {score:g}"
    note = f"AP in percent and detections, means over runs{labels}.{against} {counted}."
    return Table(CLASSES, "Every class", header, rows, note)


def _objects(summary: Summary, task: str, name: str) -> str:
    for run in summary.records:
        resampled = summary.images.of(run)
        if resampled is not None and task in resampled.matches and name in resampled.matches[task].classes:
            return str(int(resampled.matches[task].classes[name].objects.sum()))
    return DASH


def _detections(summary: Summary, group: Group, task: str, name: str, score: float) -> str:
    counts = []
    for run in group.runs:
        resampled = summary.images.of(run)
        matches = None if resampled is None else resampled.matches.get(task)
        if matches is None or name not in matches.classes:
            return DASH
        counts.append(int((matches.classes[name].score >= score).sum()))
    return f"{fmean(counts):.0f}"
