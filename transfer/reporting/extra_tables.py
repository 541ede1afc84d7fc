"""Tables that a study adds to a report: worth in labels, what cheap numbers said beforehand, what training cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from transfer.comparison.compare import Group, paired, side
from transfer.comparison.rank_correlation import LEAST, kendall
from transfer.comparison.worth import FEWER, MORE, Worth, worth
from transfer.records.record_file import Record
from transfer.reporting.summary import Summary
from transfer.reporting.wording import DASH, WORDS, number, percent

HOUR = 3600.0
WORTH, PREDICTORS, COST = "worth", "predictors", "cost"


@dataclass(frozen=True)
class Studied:
    """What a study knows of one run besides its record.

    Attributes:
        folder: with its training curves.
        pretrain_seconds: that its start's pretraining took; 0 where nothing was pretrained, null where not measured.
        finetune_seconds: that its own training took; null where not measured.
        units: cores or GPUs that both used.
        probes: name -> what was measured on the frozen backbone before.
    """

    folder: Path
    pretrain_seconds: float | None
    finetune_seconds: float | None
    units: int = 1
    probes: Mapping[str, float] = field(default_factory=dict)


Known = Mapping[int, Studied]  # id of the record object -> what a study knows of it


@dataclass(frozen=True)
class Table:
    """A table, its place in a page, and what it means."""

    id: str
    title: str
    header: list[str]
    rows: list[list[str]]
    note: str


def extra_tables(summary: Summary, known: Known) -> list[Table]:
    """The tables for which there is something to say."""
    tables = [worth_table(summary), predictors_table(summary, known), cost_table(summary, known)]
    return [table for table in tables if table is not None]


def worth_table(summary: Summary) -> Table | None:
    """How many labelled images the baseline needs for each start's AP; None without several shares of the labels."""
    task, base = summary.task, [g for g in summary.groups if g.init == summary.baseline and _images(g)]
    base = [g for g in base if g.values[task, "AP"] is not None]
    if len(base) < 2 or len({tuple(run.seed for run in g.runs) for g in base}) > 1:
        return None  # a curve needs two points, of the same seeds
    curve = {_images(g): side(g, task, "AP", summary.images) for g in base}
    rows = []
    for group in summary.groups:
        if group.init != summary.baseline and _images(group) and group.values[task, "AP"] is not None:
            ours = side(group, task, "AP", summary.images)
            value = worth(ours, curve, paired(group, base[0]), summary.images.count)
            rows.append(
                [group.init, str(_images(group)), number(group.values[task, "AP"]), worth_in_words(value, list(curve)),
                 worth_interval(value)]
            )  # fmt: skip
    if not rows:
        return None
    measured = ", ".join(str(n) for n in sorted(curve))
    note = (
        f"How many labelled images {summary.baseline} needs for the {WORDS[task]} AP that a start has with its own. "
        f"{summary.baseline} was measured with {measured}; between these its AP is taken to be linear in the logarithm "
        "of their number. The 95 % interval holds every number whose AP cannot be told from the start's."
    )
    header = [
        "start",
        "labelled images",
        f"{WORDS[task]} AP",
        f"worth in images of {summary.baseline}",
        "95 % interval",
    ]
    return Table(WORTH, "What the labels are worth", header, rows, note)


def worth_in_words(value: Worth, measured: Sequence[int]) -> str:
    """A worth, or where it lies beyond what was measured."""
    if value.beyond == MORE:
        return f"more than {max(measured)}: beyond what was measured"
    if value.beyond == FEWER:
        return f"fewer than {min(measured)}: beyond what was measured"
    return DASH if value.labels is None else f"{value.labels:.0f}"


def worth_interval(value: Worth) -> str:
    """Its interval in words; an open end is beyond what was measured."""
    if value.interval is None:
        return DASH
    low, high = value.interval
    if low is None and high is None:
        return "not decided by what was measured"
    if low is None:
        return f"up to {high:.0f}"
    return f"from {low:.0f}" if high is None else f"{low:.0f} to {high:.0f}"


def predictors_table(summary: Summary, known: Known) -> Table | None:
    """What numbers taken before fine-tuning said of the AP after it; None where none was taken."""
    task, rows = summary.task, []
    for fraction in summary.fractions:
        groups = [g for g in summary.at(fraction) if g.values[task, "AP"] is not None]
        runs = [(g.init, run) for g in groups for run in g.runs]
        for name in dict.fromkeys(name for _, run in runs if id(run) in known for name in known[id(run)].probes):
            rows.append([name, percent(fraction), *_predictor(name, runs, known, task)])
    if not rows:
        return None
    note = (
        f"Kendall's tau between a number taken of the frozen backbone and the {WORDS[task]} AP of the detector trained "
        f"from it, over n runs; 95 % interval from {LEAST} runs on, as if runs were independent, which seeds of one "
        "start are not. The last columns: the start with the highest mean of that number, and with the highest mean AP."
    )
    header = ["number", "labels", "n", "starts", "tau", "95 % interval", "would have chosen", "best in AP"]
    return Table(PREDICTORS, "What cheap numbers said beforehand", header, rows, note)


def _predictor(name: str, runs: Sequence[tuple[str, Record]], known: Known, task: str) -> list[str]:
    pairs = []
    for init, run in runs:
        ap = run.metrics[task]["AP"]
        if ap is not None and id(run) in known and name in known[id(run)].probes:
            pairs.append((init, known[id(run)].probes[name], ap))
    correlation = kendall([p for _, p, _ in pairs], [ap for _, _, ap in pairs])
    means = {
        init: (fmean(p for i, p, _ in pairs if i == init), fmean(ap for i, _, ap in pairs if i == init))
        for init in dict.fromkeys(init for init, _, _ in pairs)
    }
    tau, interval = DASH, DASH
    if correlation is not None:
        tau = f"{correlation.tau:+.2f}"
        if correlation.interval is not None:
            interval = f"{correlation.interval[0]:+.2f} to {correlation.interval[1]:+.2f}"
    chosen = max(means, key=lambda init: means[init][0])
    best = max(means, key=lambda init: means[init][1])
    verdict = "the same" if chosen == best else f"{best}, {means[best][1] - means[chosen][1]:.1f} points of AP above it"
    return [str(len(pairs)), str(len(means)), tau, interval, chosen, verdict]


def cost_table(summary: Summary, known: Known) -> Table | None:
    """What each start cost to train, beside its AP; None where nobody counted."""
    task, rows = summary.task, []
    for group in summary.groups:
        if all(id(run) in known for run in group.runs):
            hours = group_hours(group, known)
            cells = [DASH if h is None else f"{h:.2g}" for h in hours]
            rows.append([group.init, percent(group.fraction), number(group.values[task, "AP"]), *cells])
    if not rows:
        return None
    gpu = not summary.records[0].device.startswith("CPU")
    unit = "GPU-hours" if gpu else "core-hours"
    note = (
        f"{unit[0].upper()}{unit[1:]} of a run, mean over runs: training alone, without start-up, evaluation, work "
        "lost by interruptions, and the making of weights from elsewhere, which nobody knows here. One pretraining "
        f"serves all shares of labels. Device: {', '.join(dict.fromkeys(run.device for run in summary.records))}."
    )
    header = [
        "start",
        "labels",
        f"{WORDS[task]} AP",
        f"pretraining, {unit}",
        f"fine-tuning, {unit}",
        f"together, {unit}",
    ]
    return Table(COST, "What training cost", header, rows, note)


def group_hours(group: Group, known: Known) -> tuple[float | None, float | None, float | None]:
    """Mean hours of one core or GPU that a group's pretraining, fine-tuning and both took; null where not measured."""
    parts: list[float | None] = []
    for name in ("pretrain_seconds", "finetune_seconds"):
        seconds = [getattr(known[id(run)], name) for run in group.runs]
        units = [known[id(run)].units for run in group.runs]
        lost = any(one is None for one in seconds)
        parts.append(None if lost else fmean(s * u for s, u in zip(seconds, units, strict=True)) / HOUR)
    together = None if parts[0] is None or parts[1] is None else parts[0] + parts[1]
    return parts[0], parts[1], together


def _images(group: Group) -> int:
    """Labelled images of a group's training; 0 where not known."""
    run = group.runs[0]
    if run.data.train is None or group.fraction is None:
        return 0
    return round(group.fraction * run.data.train.n_images)
