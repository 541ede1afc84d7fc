"""Statistics over runs: which may be compared, what each start is worth on average, and how far from the baseline.

Pure functions from records to numbers. Intervals, corrections and verdicts belong here too, as further fields of
``Difference``, computed in ``difference``: the report prints what it finds there.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.errors import InputError
from transfer.results import METRICS, TASKS, Record

BASELINE = "random"

# Runs that differ in one of these measure something else as well; neither a mean nor a difference makes sense then.
# The resolved config is not among them: weights may rightly bring their own normalisation. The report shows its hash.
MUST_AGREE: dict[str, Callable[[Record], Any]] = {
    "data.train.fingerprint": lambda r: r.data.train and r.data.train.fingerprint,
    "data.val.fingerprint": lambda r: r.data.val.fingerprint,
    "config.file": lambda r: r.config and Path(r.config.file).name,
    "schedule.max_iter": lambda r: r.schedule and r.schedule.max_iter,
    "schedule.batch": lambda r: r.schedule and r.schedule.batch,
    "schedule.base_lr": lambda r: r.schedule and r.schedule.base_lr,
    "schedule.steps": lambda r: r.schedule and r.schedule.steps,
    "schedule.warmup": lambda r: r.schedule and r.schedule.warmup,
    "protocol": lambda r: r.protocol,
    "engine": lambda r: r.engine,
    "label_fraction": lambda r: r.label_fraction,
}


@dataclass(frozen=True)
class Value:
    """A mean over n runs in percent, with the sample standard deviation (null for one run)."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Group:
    """The runs that started the same way, by seed, and (task, metric) -> Value, None where not measured."""

    init: str
    runs: list[Record]
    values: dict[tuple[str, str], Value | None]


@dataclass(frozen=True)
class Difference:
    """A group's mean minus the baseline's, in percentage points.

    Attributes:
        mean: the difference of the two means.
        std: sample standard deviation of the differences seed by seed; null unless both groups ran the same two or
            more seeds.
        n: runs on the smaller side.
    """

    mean: float
    std: float | None
    n: int


def check_comparable(records: list[Record]) -> None:
    """Check that the runs may stand in one table.

    Raises:
        InputError: two runs differ in what MUST_AGREE lists (the field and both values are named), or one run is
            given twice.
    """
    first = records[0]
    for record in records[1:]:
        for name, read in MUST_AGREE.items():
            if read(record) != read(first):
                found = f"{_short(read(first))} in {first.name} and {_short(read(record))} in {record.name}"
                raise InputError(
                    f"the runs cannot be compared: expected the same {name}, found {found}; report them apart"
                )
    seen: dict[tuple[Any, ...], Record] = {}
    for record in records:
        key = (record.init, record.seed, record.weights and record.weights.sha256)
        if record.seed is not None and key in seen:
            raise InputError(
                f"a run is given twice: expected different seeds or weights for {record.init}, found {seen[key].name} "
                f"and {record.name} both with seed {record.seed} and the same weights; leave one out"
            )
        seen[key] = record


def group(records: list[Record], baseline: str | None = None) -> list[Group]:
    """Return one group per init, the baseline's first, the others in the order given.

    Args:
        records: comparable runs.
        baseline: the init to compare with; None takes "random" where there is such a run.

    Raises:
        InputError: no run starts from ``baseline``.
    """
    inits = list(dict.fromkeys(record.init for record in records))
    if baseline is not None and baseline not in inits:
        raise InputError(f"no such baseline: expected one of {', '.join(inits)}, found {baseline}; name one of these")
    first = baseline or BASELINE
    inits.sort(key=lambda init: init != first)  # stable: only the baseline moves
    return [_group(init, [record for record in records if record.init == init]) for init in inits]


def _group(init: str, runs: list[Record]) -> Group:
    runs = sorted(runs, key=lambda run: -1 if run.seed is None else run.seed)
    values = {(task, metric): mean([run.metrics[task][metric] for run in runs]) for task in TASKS for metric in METRICS}
    return Group(init, runs, values)


def mean(values: list[float | None]) -> Value | None:
    """Return mean, spread and n; None when any value is missing, because a mean over the rest is of something else."""
    measured = [value for value in values if value is not None]
    if not measured or len(measured) < len(values):
        return None
    return Value(statistics.fmean(measured), _std(measured), len(measured))


def difference(ours: Group, baseline: Group, task: str, metric: str) -> Difference | None:
    """Return how far ``ours`` is above ``baseline``; None when one of them was not measured."""
    a, b = ours.values[task, metric], baseline.values[task, metric]
    if a is None or b is None:
        return None
    std = None
    if None not in (seeds := [run.seed for run in ours.runs]) and seeds == [run.seed for run in baseline.runs]:
        pairs = zip(ours.runs, baseline.runs, strict=True)
        std = _std([p.metrics[task][metric] - q.metrics[task][metric] for p, q in pairs])  # type: ignore[operator]
    return Difference(a.mean - b.mean, std, min(a.n, b.n))


def _std(values: list[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 20 else text[:12] + "..."
