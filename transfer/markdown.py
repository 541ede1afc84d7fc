"""Groups of runs as text: the table that ends the report's terminal output, and ``report.md`` around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from transfer.compare import Difference, Group, Value, difference, mean
from transfer.results import TASKS, Record, Schedule

SHOWN = ("AP", "AP50", "AP75")
WORDS = {"bbox": "box", "segm": "mask"}
DASH = "–"  # not measured


@dataclass(frozen=True)
class Stage:
    """One command that led here, and how long it took."""

    stage: str
    seconds: float
    command: str


@dataclass(frozen=True)
class Picture:
    """The report's picture: file name and caption, or why there is none."""

    file: str | None
    text: str


def report(groups: list[Group], baseline: Group | None, stages: list[Stage], picture: Picture) -> str:
    """Return ``report.md``: the result first, then what it rests on."""
    records = [run for group in groups for run in group.runs]
    names = ", ".join(group.init for group in groups)
    parts = [f"# Transfer to detection: {names}", "", headline(groups, baseline), ""]
    parts += ["AP in percent, differences in percentage points" + _spread_note(groups) + ".", ""]
    parts += [*words(groups, baseline), ""]
    parts += ["## What was run", "", *_settings(records), "", _weights(groups), "", _runs(records), ""]
    parts += ["## Classes", "", _classes(groups), ""]
    if stages:
        parts += ["## Stages", "", _stages(stages), ""]
    parts += ["## Pictures", ""]
    if picture.file:
        parts += [f"![ground truth and predictions]({picture.file})", ""]
    return "\n".join([*parts, picture.text, ""])


def headline(groups: list[Group], baseline: Group | None) -> str:
    """Return the table of means and, when there is a baseline, of the differences to it."""
    columns = [(task, metric) for task in TASKS for metric in SHOWN]
    header = ["start", "n", *(f"{WORDS[task]} {metric}" for task, metric in columns)]
    rows = [
        [group.init, str(len(group.runs)), *(_value(group.values[column]) for column in columns)] for group in groups
    ]
    for group in groups:
        if baseline is not None and group is not baseline:
            cells = [_difference(difference(group, baseline, *column)) for column in columns]
            rows.append([f"{group.init} minus {baseline.init}", "", *cells])
    return table(header, rows)


def words(groups: list[Group], baseline: Group | None) -> list[str]:
    """Return what the differences are in words, and what they can carry."""
    if baseline is None:
        return [
            "No run starts from random, so there are no differences. `--baseline NAME` compares with another start."
        ]
    if len(groups) == 1:
        return [f"Every run starts from {baseline.init}: there is nothing to compare with."]
    lines = []
    for group in groups:
        if group is not baseline:
            found = [(task, difference(group, baseline, task, "AP")) for task in reversed(TASKS)]
            parts = [_in_words(group, baseline, task, diff) for task, diff in found if diff is not None]
            lines.append(f"- **{group.init}** against {baseline.init}: {', '.join(parts) or 'nothing was measured'}.")
    fewest = min(len(group.runs) for group in groups)
    if fewest == 1:
        lines += [
            "",
            "**One seed shows no spread**: such a difference cannot carry a conclusion. Run at least 3 seeds.",
        ]
    elif fewest == 2:
        lines += ["", "**Two seeds show hardly any spread**: do not conclude from them. Run at least 3."]
    return lines


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table whose columns also line up as plain text, numbers to the right, words to the left."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in [header, *rows]]
    columns = []
    for column in zip(*cells, strict=True):
        width = max(map(len, column))
        if all(cell[:1] in f"0123456789+-{DASH}" for cell in column[1:]):  # also an empty cell
            columns.append([cell.rjust(width) for cell in column] + ["-" * (width + 1) + ":"])
        else:
            columns.append([cell.ljust(width) for cell in column] + ["-" * (width + 2)])
    *lines, rule = zip(*columns, strict=True)
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "|".join(rule) + "|", *text[1:]])


def _in_words(group: Group, baseline: Group, task: str, diff: Difference) -> str:
    ours, theirs = group.values[task, "AP"], baseline.values[task, "AP"]
    assert ours is not None  # a difference has both sides
    assert theirs is not None
    change = (
        "the same" if round(diff.mean, 1) == 0 else f"{abs(diff.mean):.1f} points {'more' if diff.mean > 0 else 'less'}"
    )
    spread = f", standard deviation {diff.std:.1f} over {diff.n} pairs of runs" if diff.std is not None else ""
    return f"{WORDS[task]} AP {change} ({theirs.mean:.1f} to {ours.mean:.1f}{spread})"


def _value(value: Value | None) -> str:
    if value is None:
        return DASH
    return f"{value.mean:.1f}" + (f" ± {value.std:.1f}" if value.std is not None else "")


def _difference(diff: Difference | None) -> str:
    if diff is None:
        return DASH
    return f"{diff.mean:+z.1f}" + (f" ± {diff.std:.1f}" if diff.std is not None else "")


def _spread_note(groups: list[Group]) -> str:
    if all(len(group.runs) == 1 for group in groups):
        return "; n is the number of runs"
    return "; mean ± sample standard deviation over n runs, for a difference over the pairs of the same seed"


def _settings(records: list[Record]) -> list[str]:
    first = records[0]
    schedule, data = first.schedule, first.data
    lines = [f"- Schedule: {DASH if schedule is None else _schedule(schedule)}"]
    for name, split in (("Trained", data.train), ("Measured", data.val)):
        lines.append(
            f"- {name} on: {DASH}"
            if split is None
            else f"- {name} on `{split.annotations}`: {split.n_images} images, {split.n_instances} objects, "
            f"fingerprint `{split.fingerprint[:12]}`"
        )
    classes = data.val.classes
    shown = ", ".join(classes[:10]) + (f" and {len(classes) - 10} more" if len(classes) > 10 else "")
    lines += [f"- {len(classes)} classes: {shown}", f"- Labels used: {_percent(first.label_fraction)}"]
    reads: dict[str, Callable[[Record], str]] = {
        "Detector": lambda r: f"`{r.config.file}`, resolved `{r.config.sha256[:12]}`" if r.config else DASH,
        "Metrics by": lambda r: r.engine,
        "Device": lambda r: r.device,
        "Versions": lambda r: ", ".join(f"{package} {version}" for package, version in r.versions.items()),
    }
    return lines + [f"- {name}: {text}" for name, read in reads.items() for text in _once(records, read)]


def _schedule(schedule: Schedule) -> str:
    steps = f"dropped at {', '.join(map(str, schedule.steps))}" if schedule.steps else "never dropped"
    return (
        f"{schedule.max_iter} iterations of {schedule.batch} images, learning rate {schedule.base_lr:g}, "
        f"{steps}, warm-up {schedule.warmup} iterations"
    )


def _percent(fraction: float | None) -> str:
    return DASH if fraction is None else f"{100 * fraction:g} %"


def _once(records: list[Record], read: Callable[[Record], str]) -> list[str]:
    """Return the one value that all runs share, or every value with the runs that have it."""
    values = list(dict.fromkeys(map(read, records)))
    if len(values) == 1:
        return values
    return [f"{value} ({', '.join(r.name for r in records if read(r) == value)})" for value in values]


def _weights(groups: list[Group]) -> str:
    rows = []
    for group in groups:
        for weights in {run.weights.sha256: run.weights for run in group.runs if run.weights}.values():
            rows.append(
                [group.init, f"`{weights.file}`", f"{weights.loaded}/{weights.expected}", f"`{weights.sha256[:12]}`"]
            )
        if any(run.weights is None for run in group.runs):
            rows.append([group.init, "none: random initialisation", DASH, DASH])
    return table(["start", "weights", "tensors loaded", "SHA-256"], rows)


def _runs(records: list[Record]) -> str:
    rows = []
    for r in records:
        aps = [DASH if (ap := r.metrics[task]["AP"]) is None else f"{ap:.1f}" for task in TASKS]
        seconds = [DASH if s is None else f"{s:.0f}" for s in (r.seconds.train, r.seconds.evaluate)]
        rows.append([r.name, r.init, DASH if r.seed is None else str(r.seed), *aps, *seconds])
    return table(["run", "start", "seed", "box AP", "mask AP", "training, s", "evaluation, s"], rows)


def _classes(groups: list[Group]) -> str:
    rows = []
    for name in groups[0].runs[0].data.val.classes:
        aps = [mean([run.per_class[task].get(name) for run in group.runs]) for task in TASKS for group in groups]
        rows.append([name, *map(_value, aps)])
    return table(["class", *(f"{WORDS[task]} AP, {group.init}" for task in TASKS for group in groups)], rows)


def _stages(stages: list[Stage]) -> str:
    rows = [[stage.stage, f"{stage.seconds:.0f}"] for stage in stages]
    rows.append(["together", f"{sum(stage.seconds for stage in stages):.0f}"])
    commands = [line for stage in stages for line in (f"# {stage.stage}", stage.command)]
    return "\n".join([table(["stage", "seconds"], rows), "", "```sh", *commands, "```"])
