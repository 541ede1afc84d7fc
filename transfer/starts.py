"""What a run started from, by name: the same name means the same pretraining, repeated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from transfer.decode import shown
from transfer.results import Record

# Of what weights say about themselves: what may differ between repetitions of one pretraining.
REPETITION = {"seed", "versions", "source", "file", "settings.run", "settings.data.workers", "data.path"}


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
    said = {k: v for k, v in record.weights.metadata.items() if k not in REPETITION}
    if "settings" not in said:
        return {"weights": json.dumps(record.weights.sha256[:12])}
    found: dict[str, str] = {}
    _flatten(said, "", found)
    return found


def _flatten(value: Any, at: str, found: dict[str, str]) -> None:
    if at in REPETITION:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(item, f"{at}.{key}" if at else key, found)
    else:
        found[at] = json.dumps(value)
