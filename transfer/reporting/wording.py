"""What a summary says, in words: the answer, the caveats, what was run; and numbers as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from transfer.comparison.compare import BASELINE, Value
from transfer.comparison.intervals import LEAST_SEEDS
from transfer.comparison.verdicts import BETTER, UNKNOWN, WORSE, Verdict
from transfer.data import leaks
from transfer.records.record import Record, Schedule, Split, Weights
from transfer.reporting.summary import Summary

WORDS = {"bbox": "box", "segm": "mask"}
NAMES = {"bbox": "Boxes", "segm": "Masks"}
DASH = "–"  # not measured


def answer(summary: Summary) -> str:
    """Return the answer as one text."""
    return " ".join(answers(summary))


def answers(summary: Summary) -> list[str]:
    """Return the answer in a sentence for each share of the labels, or in one for all: the difference comes first."""
    if summary.baseline is None:
        return [f"No run starts from {BASELINE}, so there is nothing to compare with."]
    verdicts = summary.about(summary.task)
    if not verdicts:
        return [f"Every run starts from {summary.baseline}, so there is nothing to compare with."]
    where = f"on these {summary.records[0].data.val.n_images} images"
    several = len(summary.fractions) > 1
    if len({v.ours.init for v in verdicts}) == 1 < len(verdicts) and len({_worth(v) for v in verdicts}) == 1:
        first = verdicts[0]
        gains = [f"{signed(v.difference.mean)} with {percent(v.ours.fraction)} of the labels" for v in verdicts]
        what = f"{WORDS[summary.task]} AP over {first.baseline.init} {where}"
        return [f"{first.ours.init}, {what}: {', '.join(gains)}; {_worth(first)}."]
    parts = []
    for fraction in summary.fractions:
        here = [verdict for verdict in verdicts if verdict.ours.fraction == fraction]
        if here:
            labels = f" with {percent(fraction)} of the labels" if several else ""
            parts.append(f"{_sentence(here, where + labels)}.")
    return parts


def _sentence(verdicts: Sequence[Verdict], where: str) -> str:
    """Return one label fraction's answer; a start that stands alone has room for what its difference is worth."""
    base, task = verdicts[0].baseline.init, WORDS[verdicts[0].task]
    if len(verdicts) == 1:
        (one,) = verdicts
        over = "against" if round(one.difference.mean, 1) < 0 else "over"
        return f"{one.ours.init}: {signed(one.difference.mean)} {task} AP {over} {base} {where}; {_worth(one)}"
    ordered = sorted(verdicts, key=lambda verdict: -verdict.difference.mean)
    same = {_worth(verdict) for verdict in verdicts}
    alike = all(verdict.word == UNKNOWN for verdict in verdicts)
    fewest = min(verdict.difference.n for verdict in verdicts)
    if len(same) > 1:
        same = {f"{_seeds(fewest)}, so no verdict" if fewest < LEAST_SEEDS else "each of them may be chance"}
    words = {BETTER: f" ({BETTER})", WORSE: f" ({WORSE})", UNKNOWN: "" if alike else " (may be chance)"}
    gains = [f"{verdict.ours.init} {signed(verdict.difference.mean)}{words[verdict.word]}" for verdict in ordered]
    end = f"; {next(iter(same))}" if alike else ""
    return f"{task.capitalize()} AP over {base} {where}: {', '.join(gains)}{end}"


def _worth(verdict: Verdict) -> str:
    """Return what a difference is worth: its interval and the verdict, or what would decide it."""
    diff = verdict.difference
    if verdict.word != UNKNOWN:
        return f"{_seeds(diff.n)}, 95 % interval {limits(diff.interval)}: {verdict.word}"
    what = verdict.needs.removeprefix("needs ").removeprefix("at least ")
    decides = f"{what} {'decides' if what.startswith('1 ') else 'decide'}" if what != verdict.needs else what
    if diff.n < LEAST_SEEDS:
        return f"{_seeds(diff.n)}, so no verdict: {decides}"
    interval = "" if diff.interval is None else f", 95 % interval {limits(diff.interval)}"
    return f"{_seeds(diff.n)}{interval}: it may be chance, {decides}"


def _seeds(count: int) -> str:
    return {1: "one seed", 2: "two seeds"}.get(count, f"{count} seeds")


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def caveats(summary: Summary) -> list[str]:
    """Return what a reader must know before believing the intervals."""
    lines = []
    fewest = min(len(group.runs) for group in summary.groups)
    if fewest == 1:
        lines.append(
            f"One seed shows no spread: such a difference cannot carry a conclusion. Run at least {LEAST_SEEDS} seeds."
        )
    elif fewest < LEAST_SEEDS:
        lines.append(f"Two seeds show hardly any spread: do not conclude from them. Run at least {LEAST_SEEDS}.")
    if summary.images.why and summary.verdicts:
        lines.append(f"Intervals leave out the chance in the choice of val images: {summary.images.why}.")
    elif any(verdict.difference.basis == "images" for verdict in summary.verdicts):
        lines.append(
            "Intervals of starts with fewer than 3 seeds are over images alone: they say what these very detectors "
            "would do on other images, not what another seed would."
        )
    single = [
        init
        for init in summary.inits
        if len([run for run in summary.runs(init) if run.weights]) > 1
        and len([weights for name, weights in summary.weights if name == init and weights is not None]) == 1
    ]
    if single:
        lines.append(
            f"All runs of {_join(single)} start from one pretrained file: the interval is about that file, not about "
            "what pretraining again would give."
        )
    partial = [run.name for run in summary.records if run.weights and _partly(run.weights)]
    if partial:
        lines.append(f"Loaded only in part, the rest is random: {', '.join(partial)}.")
    anew = [run.name for run in summary.records if run.weights and run.weights.drawn_anew]
    if anew:
        lines.append(f"Started from a detector of other classes or anchors, those heads drawn anew: {', '.join(anew)}.")
    return lines + _leaks(summary.records)


def _partly(weights: Weights) -> bool:
    return weights.loaded + weights.drawn_anew < weights.expected


def _leaks(records: Sequence[Record]) -> list[str]:
    """Return a sentence for each kind of val image that training or pretraining has seen."""
    by_run = {run.name: leaks.lines(run.data.leaks) for run in records}
    lines = []
    for line in dict.fromkeys(line for one in by_run.values() for line in one):
        names = [name for name, one in by_run.items() if line in one]
        lines.append(line if len(names) == len(by_run) else f"{line} (runs {', '.join(names)})")
    return lines


def percent(fraction: float | None) -> str:
    """Return a share in words; a dash when it is not known."""
    return DASH if fraction is None else f"{100 * fraction:.4g} %"


def number(value: Value | None) -> str:
    """Return a mean, with its spread where there is one."""
    if value is None:
        return DASH
    return f"{value.mean:.1f}" + (f" ± {value.std:.1f}" if value.std is not None else "")


def signed(value: float) -> str:
    """Return a difference with its sign; what rounds to nothing has none but plus."""
    return f"{value:+z.1f}"


def minus(text: str) -> str:
    """The text with the sign of minus before numbers, for a page: a hyphen is half as long as a plus."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def limits(interval: tuple[float, float] | None) -> str:
    """Return an interval in words; a dash for none."""
    return DASH if interval is None else f"{interval[0]:z.1f} to {interval[1]:z.1f}"


def settings(summary: Summary) -> list[tuple[str, str]]:
    """Return what all runs share, as (name, text); file names and hashes stand between backticks."""
    records = summary.records
    first = records[0]
    val = first.data.val
    lines: list[tuple[str, str]] = []
    for fraction in summary.fractions:
        one = summary.at(fraction)[0].runs[0]
        labels = f", {percent(fraction)} of the labels" if len(summary.fractions) > 1 else ""
        lines.append((f"Schedule{labels}", DASH if one.schedule is None else schedule(one.schedule)))
        lines.append((f"Trained on{labels}", split(one.data.train)))
    lines.append(("Measured on", split(val)))
    shown = ", ".join(val.classes[:10]) + (f" and {len(val.classes) - 10} more" if len(val.classes) > 10 else "")
    lines += [("Classes", f"{len(val.classes)}: {shown}"), ("Labels used", ", ".join(map(percent, summary.fractions)))]
    if summary.images.resamples:
        lines.append(("Images resampled", f"{summary.images.resamples} times"))
    reads: dict[str, Callable[[Record], str]] = {
        "Detector": lambda r: f"`{r.config.file}`, resolved `{r.config.sha256[:12]}`" if r.config else DASH,
        "Metrics by": lambda r: r.engine,
        "Device": lambda r: r.device,
        "Versions": lambda r: ", ".join(f"{package} {version}" for package, version in r.versions.items()),
    }
    return lines + [(name, text) for name, read in reads.items() for text in once(records, read)]


def schedule(schedule: Schedule) -> str:
    """Return a training budget in words."""
    steps = f"dropped at {', '.join(map(str, schedule.steps))}" if schedule.steps else "never dropped"
    factor = schedule.backbone_lr_factor
    backbone = "" if factor == 1 else f", {factor:g} of it for the backbone"
    return (
        f"{schedule.max_iter} iterations of {schedule.batch} images, learning rate {schedule.base_lr:g}{backbone}, "
        f"{steps}, warm-up {schedule.warmup} iterations"
    )


def split(data: Split | None) -> str:
    """Return a data set in words."""
    if data is None:
        return DASH
    return (
        f"`{data.annotations}`, {data.n_images} images, {data.n_instances} objects, "
        f"fingerprint `{data.fingerprint[:12]}`"
    )


def once(records: Sequence[Record], read: Callable[[Record], str]) -> list[str]:
    """Return the one value that all runs share, or every value with the runs that have it."""
    values = list(dict.fromkeys(map(read, records)))
    if len(values) == 1:
        return values
    return [f"{value} ({', '.join(r.name for r in records if read(r) == value)})" for value in values]
