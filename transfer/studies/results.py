"""From the folders of a study's cells to its report: records under the starts' names, probes, and what it cost."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transfer.errors import InputError
from transfer.records.record_file import Record, read_run
from transfer.reporting.extra_tables import Studied
from transfer.reporting.report import write_report
from transfer.studies.cells import Chain
from transfer.studies.step import Step
from transfer.studies.steps import Steps

FOLDER = "report"
# Of a probe's record: what the report calls it -> where it stands in the file.
PROBES: dict[str, dict[str, tuple[str, ...]]] = {
    "knn": {"kNN accuracy, %": ("results", "top1", "accuracy"), "effective rank": ("effective_rank", "value")},
    "linear": {"linear probe, %": ("results", "top1", "accuracy")},
}


def report(steps: Steps, chains: Sequence[Chain]) -> Path:
    """Write the report of the cells that are there.

    Args:
        steps: of the study.
        chains: cells whose fine-tuning has left a record.

    Raises:
        InputError: a record cannot be read, or they cannot be compared.
    """
    records = [record(chain) for chain in chains]
    studied = [studied_of(steps, chain, one) for chain, one in zip(chains, records, strict=True)]
    pretrained = dict.fromkeys(
        str(c.pretrain.product.parent) for c in chains if c.pretrain and c.cell.seed == steps.study.seeds[0]
    )
    baseline = steps.study.baseline
    if baseline not in {one.init for one in records}:
        baseline = None  # none of its cells is there yet
    write_report(
        records,
        steps.out / FOLDER,
        baseline=baseline,
        pretrain=list(pretrained),
        studied=studied,
        searched=steps.study.terms.search is not None,
        force=True,  # the folder is the study's own
    )
    return steps.out / FOLDER


def record(chain: Chain) -> Record:
    """A cell's record, whose start has the name that the study gives it."""
    return dataclasses.replace(read_run(chain.finetune.product), init=chain.cell.start)


def studied_of(steps: Steps, chain: Chain, run: Record) -> Studied:
    """What was measured of a cell besides its record."""
    folder = chain.finetune.product.parent
    pretraining: float | None = 0.0
    if chain.pretrain is not None:
        pretraining = pretraining_seconds(chain.pretrain, steps.inputs.settings[chain.cell.start])
    finetuning = run.seconds.train if run.seconds.train is not None else finetuning_seconds(folder)
    probes = {name: value for step in chain.probes if step.product.exists() for name, value in probed(step).items()}
    return Studied(folder, pretraining, finetuning, units(run.device), probes)


def pretraining_seconds(step: Step, settings: Any) -> float | None:
    """Seconds of training in the result, without work lost to a kill: each line has the speed since the one before."""
    lines = {line["iteration"]: line for line in _lines(step.product.parent / "metrics.jsonl")}
    total, last = 0.0, 0
    for iteration in sorted(lines):
        speed = lines[iteration].get("images_per_second")
        if not speed:
            return None
        total += (iteration - last) * settings["data"]["batch"] / speed
        last = iteration
    return total or None


def finetuning_seconds(folder: Path) -> float | None:
    """The same of a fine-tuning that was resumed, whose record does not know: Detectron2's time of an iteration."""
    lines = {line["iteration"]: line["time"] for line in _lines(folder / "metrics.json") if "time" in line}
    total, last = 0.0, -1
    for iteration in sorted(lines):
        total += (iteration - last) * lines[iteration]
        last = iteration
    return total or None


def units(device: str) -> int:
    """Of how many cores or GPUs an hour counts: the number in a record's device."""
    match = re.search(r"^(\d+) x |CPU, (\d+) threads", device)
    return int(match[1] or match[2]) if match else 1


def probed(step: Step) -> dict[str, float]:
    """A probe's numbers, under the report's names.

    Raises:
        InputError: the file is not what ``pretrain evaluate`` writes.
    """
    protocol = step.name.rpartition("_")[2]
    try:
        content = json.loads(step.product.read_text(encoding="utf-8"))
        values = {}
        for name, way in PROBES[protocol].items():
            value: Any = content
            for key in way:
                value = value[key]
            values[name] = float(value)
        return values
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{step.product}: expected a probe's numbers, found {type(error).__name__} {error}; remove it"
        ) from None


def _lines(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a log of JSON objects; a kill may have cut the last short."""
    if not file.is_file():
        return []
    text = file.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n") and line.strip()]
