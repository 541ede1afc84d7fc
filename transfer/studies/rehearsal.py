"""``study --dry-run``: every command, and what the whole costs, from a few iterations of each kind of step."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from transfer.detectors import config as detector_config
from transfer.errors import InputError
from transfer.finetuning import schedule
from transfer.records.record_file import FILE_NAME, read_run
from transfer.reporting.markdown import table
from transfer.studies import terms
from transfer.studies.cells import Cell, chain
from transfer.studies.fingerprints import key_of
from transfer.studies.inputs import detector_config_of, override_words
from transfer.studies.local import FAILED, Local, times
from transfer.studies.schema import COMPUTE
from transfer.studies.step import CONVERT, DATA, FINETUNE, KINDS, PRETRAIN, PROBE, SPEED, Step, in_order
from transfer.studies.steps import Course, Steps

ITERATIONS = 20  # of the measured fine-tuning
_DISK = re.compile(r"disk\s+([\d.]+) GB")
_GIGABYTE = 1e9
DASH = "–"


@dataclass(frozen=True)
class Cost:
    """Seconds and bytes of one step; null where nothing was measured."""

    seconds: float | None
    size: float = 0.0


def rehearse(steps: Steps, cells: Sequence[Cell], local: Local) -> str:
    """Measure what can be measured in seconds, run no cell, and say what the cells will cost.

    Raises:
        InputError: a measurement failed.
    """
    study = steps.study
    names = list(dict.fromkeys(cell.start for cell in cells))
    speeds = {name: steps.speed(name, 0) for name in names if study.starts[name].pretrain}
    finetuning = _short_finetuning(steps)
    for state in local.run([*speeds.values(), finetuning]):
        if state.status == FAILED:
            raise InputError(f"--dry-run: {state.step.command}: {state.why}; see {state.step.log}")
    courses = {name: _course(steps, name, speeds) for name in names}
    measured = {name: _pretraining_cost(steps, name, step, courses[name]) for name, step in speeds.items()}
    chains = [chain(cell, steps, courses) for cell in cells]
    listed: dict[str, Step] = {}
    costs: dict[str, Cost] = {}
    lines = [
        f"{len(cells)} cells, {local.jobs} steps side by side; shared steps stand with the first cell",
        "",
    ]
    for one in chains:
        lines.append(one.cell.name)
        for step in in_order(one.steps):
            if step.id not in listed:
                listed[step.id] = step
                costs[step.id] = _cost(steps, step, one.cell, measured, finetuning)
                lines.append(f"    {step.command}{'   # there already' if step.product.exists() else ''}")
    lines += ["", _table(list(listed.values()), costs), "", _total(listed.values(), costs, local.jobs, steps)]
    return "\n".join(lines)


def _course(steps: Steps, name: str, speeds: Mapping[str, Step]) -> Course:
    """A start's course as far as it can be known without measuring in earnest."""
    if steps.study.terms.equal != COMPUTE or name not in speeds:
        return Course({}, {})
    seconds, per_epoch = terms.measured(speeds[name].product.read_text(encoding="utf-8"))
    return terms.equal_compute(steps.study.terms, seconds, per_epoch)


def _pretraining_cost(steps: Steps, name: str, speed: Step, course: Course) -> Cost:
    text = speed.product.read_text(encoding="utf-8")
    seconds, per_epoch = terms.measured(text)
    settings: Mapping[str, Any] = steps.inputs.settings[name]["schedule"]
    iterations = course.pretrain.get("schedule.iterations", settings["iterations"]) or settings["epochs"] * per_epoch
    disk = _DISK.search(text)
    return Cost(seconds * iterations, float(disk[1]) * _GIGABYTE if disk else 0.0)


def _short_finetuning(steps: Steps) -> Step:
    """A fine-tuning of ITERATIONS from random weights, under the study's own detector config."""
    study, data = steps.study, steps.inputs.data
    short = {
        "SOLVER.MAX_ITER": ITERATIONS,
        "SOLVER.STEPS": "()",
        "SOLVER.WARMUP_ITERS": 1,
        "SOLVER.CHECKPOINT_PERIOD": 10**9,
        "TEST.EVAL_PERIOD": 0,
    }
    words = override_words({**study.detector.options, **short})
    key = key_of(steps.inputs.detector_key, data.key, words)
    folder = steps.out / SPEED / f"finetune_{key}"
    arguments = ["-m", "transfer.train_net", "--config-file", study.detector.config, "--init", "random", "--seed", "0"]
    arguments += [*data.arguments, "--resume"]
    arguments += ["--num-gpus", str(study.detector.gpus)] if study.detector.gpus > 1 else []
    arguments += ["OUTPUT_DIR", str(folder), *words]
    log = steps.out / "logs" / f"{SPEED}_finetune_{key}.log"
    return Step(SPEED, "finetune", key, tuple(arguments), folder / FILE_NAME, log, steps.data(), study.detector.gpus)


def iterations(steps: Steps, labels: str) -> int:
    """Iterations of a cell's fine-tuning."""
    study = steps.study
    file = detector_config.read_config(detector_config.find_config(study.detector.config))
    cfg = detector_config_of(study)
    if study.detector.lr_scale:
        schedule.scale_with_batch(cfg, file.SOLVER.IMS_PER_BATCH, study.detector.options)
    if steps.scale(labels) != 1:
        schedule.shorten(cfg, steps.scale(labels), study.detector.options)
    return int(cfg.SOLVER.MAX_ITER)


def _cost(steps: Steps, step: Step, cell: Cell, pretraining: Mapping[str, Cost], finetuning: Step) -> Cost:
    if step.kind == PRETRAIN:
        return pretraining[cell.start]
    if step.kind == FINETUNE:
        record = read_run(finetuning.product)
        folder = finetuning.product.parent
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if record.seconds.train is None:
            return Cost(None, size)
        seconds = record.seconds.train / ITERATIONS * iterations(steps, cell.labels)
        return Cost(seconds + (record.seconds.evaluate or 0.0), size)
    tried = [seconds for seconds, code in times(step) if code == 0]
    return Cost(fmean(tried) if tried else None)


def _table(steps: Sequence[Step], costs: Mapping[str, Cost]) -> str:
    rows = []
    count = Counter(step.kind for step in steps)
    for kind in (k for k in KINDS if count[k]):
        seconds = [s for step in steps if step.kind == kind and (s := costs[step.id].seconds) is not None]
        size = sum(costs[step.id].size for step in steps if step.kind == kind)
        each = f"{fmean(seconds):.0f}" if seconds else DASH
        hours = f"{sum(seconds) / 3600:.2f}" if seconds else DASH
        rows.append([kind, str(count[kind]), each, hours, f"{size / _GIGABYTE:.2f}" if size else DASH])
    return table(["step", "number", "seconds each", "hours", "GB"], rows)


def _total(steps: Any, costs: Mapping[str, Cost], jobs: int, made: Steps) -> str:
    left = [step for step in steps if not step.product.exists()]
    hours = sum(costs[step.id].seconds or 0.0 for step in left) / 3600
    size = sum(costs[step.id].size for step in left) / _GIGABYTE
    unknown = {step.kind for step in left if costs[step.id].seconds is None} & {CONVERT, PROBE, DATA}
    text = f"left: {hours:.2f} hours of steps, {hours / jobs:.2f} hours with {jobs} side by side; {size:.2f} GB"
    if unknown:
        text += f"; not measured, seconds to minutes each: {', '.join(k for k in KINDS if k in unknown)}"
    if made.study.terms.search is not None:
        text += "; the search's trials come before and are not in this"
    return text
