"""Which runs may stand in one table: those that differ in their start, their seed and their share of the labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transfer.errors import InputError
from transfer.files.decode import shown
from transfer.records.record import Record

# Of what weights say about themselves: what may differ between repetitions of one pretraining.
REPETITION = {"seed", "versions", "source", "file", "settings.run", "settings.data.workers", "data.path"}


# Runs that differ in one of these measure something else as well; neither a mean nor a difference makes sense then.
SAME_EVERYWHERE: dict[str, Callable[[Record], Any]] = {
    "data.val.fingerprint": lambda r: r.data.val.fingerprint,
    "config.file": lambda r: r.config and Path(r.config.file).name,
    "protocol": lambda r: r.protocol,
    "engine": lambda r: r.engine,
}
# Fewer labels are another training set, and rightly get a shorter schedule.
SAME_AT_A_LABEL_FRACTION: dict[str, Callable[[Record], Any]] = {
    "data.train.fingerprint": lambda r: r.data.train and r.data.train.fingerprint,
    "schedule.max_iter": lambda r: r.schedule and r.schedule.max_iter,
    "schedule.batch": lambda r: r.schedule and r.schedule.batch,
    "schedule.base_lr": lambda r: r.schedule and r.schedule.base_lr,
    "schedule.steps": lambda r: r.schedule and r.schedule.steps,
    "schedule.warmup": lambda r: r.schedule and r.schedule.warmup,
    "schedule.backbone_lr_factor": lambda r: r.schedule and r.schedule.backbone_lr_factor,
}
# A detector that trains fewer of its parameters, as on a frozen backbone, is another protocol.
SAME_AT_A_SIZE: dict[str, Callable[[Record], Any]] = {"cost.trainable": lambda r: r.cost.trainable}
# Weights may rightly bring their own normalisation, so resolved configs differ from start to start; not within one.
SAME_FOR_ONE_START: dict[str, Callable[[Record], Any]] = {"config.sha256": lambda r: r.config and r.config.sha256}


def check_comparable(records: Sequence[Record], *, searched: bool = False) -> None:
    """Check that the runs may stand in one table.

    Args:
        records: at least one.
        searched: the learning rate may differ from start to start: the same search has found one for each.

    Raises:
        InputError: two runs differ in what must agree (the field and both values are named), no label fraction has two
            starts to compare, one run is given twice, or two have one name.
    """
    for record in records[1:]:
        _check_same(records[0], record, SAME_EVERYWHERE)
    firsts: dict[float | None, Record] = {}
    same = {k: read for k, read in SAME_AT_A_LABEL_FRACTION.items() if not (searched and k == "schedule.base_lr")}
    for record in records:
        _check_same(firsts.setdefault(record.label_fraction, record), record, same)
    sizes: dict[int, Record] = {}
    for record in records:
        if record.cost.parameters is not None and record.cost.trainable is not None:
            _check_same(sizes.setdefault(record.cost.parameters, record), record, SAME_AT_A_SIZE)
    settings: dict[tuple[Any, ...], Record] = {}
    for record, start in zip(records, start_names(records), strict=True):
        first = settings.setdefault((start, record.label_fraction), record)
        _check_same(first, record, SAME_FOR_ONE_START)
    starts = {fraction: {r.init for r in records if r.label_fraction == fraction} for fraction in firsts}
    if len(firsts) > 1 and len({r.init for r in records}) > 1 and not any(len(inits) > 1 for inits in starts.values()):
        first, other = list(firsts.values())[:2]
        _check_same(first, other, {"label_fraction": lambda r: r.label_fraction})
    _check_once(records)


def _check_same(first: Record, record: Record, reads: dict[str, Callable[[Record], Any]]) -> None:
    for name, read in reads.items():
        if read(record) != read(first):
            values = f"{_short(read(first))} in {first.name} and {_short(read(record))} in {record.name}"
            raise InputError(
                f"the runs cannot be compared: expected the same {name}, found {values}; report them apart"
            )


def _check_once(records: Sequence[Record]) -> None:
    runs: dict[tuple[Any, ...], Record] = {}
    for record in records:
        key = (record.init, record.label_fraction, record.seed, record.weights and record.weights.sha256)
        if record.seed is not None and key in runs:
            raise InputError(
                f"a run is given twice: expected different seeds or weights for {record.init}, found {runs[key].name} "
                f"and {record.name} both with seed {record.seed} and the same weights; leave one out"
            )
        runs[key] = record
    names: set[tuple[Any, ...]] = set()
    for record in records:
        named = (record.name, record.init, record.label_fraction)
        if named in names:
            raise InputError(
                f"two runs under one name: expected different names for {record.init}, found {record.name} twice; "
                'change "name" in one of the records, or leave one out'
            )
        names.add(named)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 20 else text[:12] + "..."


def start_names(records: Sequence[Record]) -> list[str]:
    """Return what to call each run's start: its ``init``, and what sets it apart from another start of that name.

    Weights of one method are repetitions of one pretraining only where everything else they say about themselves is
    the same; weights that do not say how they were made are repetitions only of themselves.
    """
    facts = [_pretraining(record) for record in records]
    names: list[str] = []
    for record, mine in zip(records, facts, strict=True):
        others = [f for r, f in zip(records, facts, strict=True) if r.init == record.init and f != mine]
        keys = [k for k in mine if any(o.get(k) != mine[k] for o in others)]
        what = ", ".join(f"{k.rpartition('.')[2]} {shown(json.loads(mine[k]))}" for k in keys[:2])
        names.append(f"{record.init} ({what})" if what else record.init)
    return names


def _pretraining(record: Record) -> dict[str, str]:
    if record.weights is None:
        return {}
    metadata = {k: v for k, v in record.weights.metadata.items() if k not in REPETITION}
    if "settings" not in metadata:
        return {"weights": json.dumps(record.weights.sha256[:12])}
    facts: dict[str, str] = {}
    _flatten(metadata, "", facts)
    return facts


def _flatten(value: Any, at: str, facts: dict[str, str]) -> None:
    if at in REPETITION:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(item, f"{at}.{key}" if at else key, facts)
    else:
        facts[at] = json.dumps(value)
