"""What the runs of a report share, in words: schedule, data, detector, engine, device, versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transfer.results import Record, Schedule, Split
from transfer.summary import DASH, Summary, percent


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
    return (
        f"{schedule.max_iter} iterations of {schedule.batch} images, learning rate {schedule.base_lr:g}, "
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
