"""How runs went: Detectron2's ``metrics.json`` of fine-tuning, and what a pretraining run leaves to read.

The latter is contract 4 of ``docs/design.md``: ``run.json``, ``metrics.jsonl`` and ``mask.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.errors import InputError

FINETUNING, PRETRAINING, RUN, MASK = "metrics.json", "metrics.jsonl", "run.json", "mask.json"
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
        method: from ``run.json``, "" where that is missing.
        curves: quantity -> points.
        mask: the last weights of the feature dimensions in ``mask.json``; empty for a method without a mask.
        mask_form: ``sigmoid`` (weights in (0, 1), 0.5 at the start) or ``identity`` (any number, 1 at the start).
    """

    name: str
    method: str
    curves: dict[str, Points]
    mask: tuple[float, ...]
    mask_form: str = "sigmoid"


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
        InputError: the folder holds no pretraining run, or one of its files is not what a pretraining writes.
    """
    file = folder / PRETRAINING
    if not file.is_file():
        raise InputError(f"{file} is missing: expected a pretraining run's folder, found none at {folder}")
    entries = _read(file)
    names = list(dict.fromkeys(name for entry in entries for name in entry if name != "iteration"))
    curves = {name: thin(_series(entries, name)) for name in names}
    if "mask_p05" in curves and "mask_p95" in curves:
        low, high = curves["mask_p05"], dict(curves["mask_p95"])
        curves["mask_spread"] = tuple((x, high[x] - y) for x, y in low if x in high)
    method, mask_form = _settings(folder / RUN)
    return Pretraining(folder.name, method, curves, _last_mask(folder / MASK), mask_form)


def thin(points: Points) -> Points:
    """Return at most MOST_POINTS points, each the mean of its neighbourhood."""
    size = math.ceil(len(points) / MOST_POINTS)
    if size <= 1:
        return points
    parts = [points[i : i + size] for i in range(0, len(points), size)]
    return tuple((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts)


def _series(entries: Iterable[dict[str, Any]], name: str) -> Points:
    """Return (iteration, value): the last value of an iteration, for a resumed run repeats some; no NaN."""
    values = {
        e["iteration"]: e[name] for e in entries if isinstance(e.get(name), int | float) and math.isfinite(e[name])
    }
    return tuple((float(x), float(values[x])) for x in sorted(values))


def _read(file: Path) -> list[dict[str, Any]]:
    entries = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        # A run that goes on at this moment, or that was killed, may end in half a line.
        whole = lines[:-1] if len(lines) > 1 and not lines[-1].endswith("\n") else lines
        for number, line in enumerate(whole, 1):
            entry = json.loads(line)
            if not isinstance(entry, dict) or "iteration" not in entry:
                raise InputError(f"{file}: line {number}: expected an object with iteration, found {line[:40]}")
            entries.append(entry)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: expected one JSON object a line, found {error}; remove it") from None
    return entries


def _settings(file: Path) -> tuple[str, str]:
    """The method's name and its mask's form; ("", "sigmoid") of a run from before ``run.json`` was written."""
    if not file.is_file():
        return "", "sigmoid"
    settings = _object(file).get("settings")
    if not isinstance(settings, dict) or not isinstance(settings.get("method"), str):
        raise InputError(f"{file}: expected settings with a method, found none; give a folder that pretraining left")
    objective = settings.get("objective")
    form = objective.get("mask", "sigmoid") if isinstance(objective, dict) else "sigmoid"
    return settings["method"], str(form)


def _last_mask(file: Path) -> tuple[float, ...]:
    """The weights after the last iteration that ``mask.json`` has; () without the file."""
    if not file.is_file():
        return ()
    snapshots = _object(file)
    try:
        last = max(snapshots, key=int)
        weights = tuple(float(weight) for weight in snapshots[last])
    except (ValueError, TypeError) as error:
        raise InputError(f"{file}: expected iterations with a list of numbers each, found {error}; remove it") from None
    if not weights or not all(math.isfinite(weight) for weight in weights):
        raise InputError(f"{file}: expected finite weights, found others after iteration {last}; remove it")
    return weights


def _object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: expected JSON, found {error}; restore it") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object, found a {type(content).__name__}; restore it")
    return content
