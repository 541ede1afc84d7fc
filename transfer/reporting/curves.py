"""How runs went: Detectron2's ``metrics.json`` of fine-tuning, and the pretrainer's ``metrics.jsonl`` and mask."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.errors import InputError

FINETUNING, PRETRAINING = "metrics.json", "metrics.jsonl"
MOST_POINTS = 120  # of a curve as wide as a phone

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Finetuning:
    """One fine-tuning run: (iteration, value) of the total loss, and of AP in percent for each task measured."""

    loss: Points
    ap: dict[str, Points]


@dataclass(frozen=True)
class Pretraining:
    """One pretraining run: what it is called, and each logged quantity as (iteration, value).

    Attributes:
        name: the folder's name.
        method: from its settings, "" when they say none.
        curves: quantity -> points.
        mask: the last checkpoint's mask over feature dimensions, values in (0, 1); empty when there is none.
    """

    name: str
    method: str
    curves: dict[str, Points]
    mask: tuple[float, ...]


def finetuning(folder: Path) -> Finetuning | None:
    """Read a run's curves; None when it kept none.

    Raises:
        InputError: the file is there but is not Detectron2's log.
    """
    file = folder / FINETUNING
    if not file.is_file():
        return None
    entries = _read(file)
    ap = {task: _series(entries, f"{task}/AP") for task in ("bbox", "segm")}
    return Finetuning(thin(_series(entries, "total_loss")), {task: points for task, points in ap.items() if points})


def pretraining(folder: Path) -> Pretraining:
    """Read a pretraining run's curves and its last mask.

    Raises:
        InputError: the folder holds no pretraining run.
    """
    file = folder / PRETRAINING
    if not file.is_file():
        raise InputError(f"{file} is missing: expected a pretraining run's folder, found none at {folder}")
    entries = _read(file)
    names = list(dict.fromkeys(name for entry in entries for name in entry if name != "iteration"))
    return Pretraining(
        folder.name, _method(folder), {name: thin(_series(entries, name)) for name in names}, _mask(folder)
    )


def thin(points: Points) -> Points:
    """Return at most MOST_POINTS points, each the mean of its neighbourhood."""
    size = math.ceil(len(points) / MOST_POINTS)
    if size <= 1:
        return points
    parts = [points[i : i + size] for i in range(0, len(points), size)]
    return tuple((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts)


def _series(entries: Iterable[dict[str, Any]], name: str) -> Points:
    """Return (iteration, value): the last value of an iteration, for a resumed run repeats some; no NaN."""
    found = {
        e["iteration"]: e[name] for e in entries if isinstance(e.get(name), int | float) and math.isfinite(e[name])
    }
    return tuple((float(x), float(found[x])) for x in sorted(found))


def _read(file: Path) -> list[dict[str, Any]]:
    entries = []
    try:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            entry = json.loads(line)
            if not isinstance(entry, dict) or "iteration" not in entry:
                raise InputError(f"{file}: line {number}: expected an object with iteration, found {line[:40]}")
            entries.append(entry)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: expected one JSON object a line, found {error}; remove it") from None
    return entries


def _method(folder: Path) -> str:
    try:
        return str(json.loads((folder / "settings.json").read_text(encoding="utf-8"))["method"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # only a label: the curves say the rest


def _mask(folder: Path) -> tuple[float, ...]:
    checkpoints = sorted((folder / "checkpoints").glob("iteration_*.pth"))
    if not checkpoints:
        return ()
    from transfer.checkpoints.opened import open_tree  # torch is loaded only when there is a checkpoint to open

    tree, _ = open_tree(checkpoints[-1])
    state = tree.get("state_dict", {}) if isinstance(tree, dict) else {}
    logits = next((value for name, value in state.items() if name.endswith("mask.logits")), None)
    return () if logits is None else tuple(logits.detach().float().sigmoid().flatten().tolist())
