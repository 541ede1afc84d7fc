"""What a run will do and where: images, length, and the work folder that must hold this run or none."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretrain.atomic import write_text
from pretrain.data.order import BatchOrder
from pretrain.data.sources import Source
from pretrain.errors import InputError
from pretrain.settings.schema import Settings
from pretrain.training.changes import FIXED, changes, run_record
from pretrain.training.checkpoint_files import checkpoint_name, find_checkpoints, newest_sound

BACKBONE = "backbone.safetensors"

log = logging.getLogger("pretrain")


@dataclass(frozen=True)
class Plan:
    """Where the images are, where the results go, and how long it takes.

    Attributes:
        source: the images.
        work_dir: folder of this run's checkpoints, logs and weights.
        iterations, warmup: iterations of the whole training and of the warm-up.
        log_every: iterations from one log point to the next: ``run.log_every``, less where that gives fewer than ten.
    """

    source: Source
    work_dir: Path
    iterations: int
    warmup: int
    log_every: int = 1

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.work_dir / "checkpoints"

    def data_record(self) -> dict[str, Any]:
        """What the run learned from: path, number of images, fingerprint."""
        return {
            "path": self.source.described,
            "images": len(self.source),
            "fingerprint": self.source.fingerprint,
        }


def make_plan(settings: Settings, source: Source, work_dir: Path) -> Plan:
    """Turn epochs into iterations; nothing is written.

    Raises:
        InputError: fewer images than one batch, or a training of no length.
    """
    per_epoch = BatchOrder(len(source), settings.data.batch, 0, 0).batches_per_epoch
    schedule = settings.schedule
    iterations = schedule.epochs * per_epoch if schedule.iterations is None else schedule.iterations
    if iterations < 1:
        raise InputError(
            f"schedule: expected at least one iteration, found epochs = {schedule.epochs}, iterations = "
            f"{schedule.iterations}"
        )
    share = min(schedule.warmup_share * iterations, per_epoch)
    warmup = round(share if schedule.warmup_epochs is None else schedule.warmup_epochs * per_epoch)
    log_every = min(settings.run.log_every, max(1, iterations // 10))
    return Plan(source, work_dir, iterations, min(warmup, iterations - 1), log_every)


@dataclass(frozen=True)
class Start:
    """Where a run begins: at a checkpoint or at the beginning.

    Attributes:
        checkpoint: to go on from; None for the beginning.
        changed: whether settings or data that matter are others than those the checkpoint was trained with.
    """

    checkpoint: Path | None = None
    changed: bool = False


def prepare(settings: Settings, plan: Plan, resume: bool, allow_change: bool = False) -> Start:
    """Make the work folder this run's: save its settings and data, or find the checkpoint to go on from.

    A folder in which a run ended before its first checkpoint holds nothing to lose and is taken again; with
    ``resume`` too, so that one command line serves the first start and every later one.

    Raises:
        InputError: the folder holds another run, all its checkpoints are damaged, or what matters has changed and
            ``allow_change`` is not given.
    """
    saved, now = plan.work_dir / "run.json", run_record(settings, plan.data_record())
    checkpoints = find_checkpoints(plan.checkpoints)
    if not resume and (checkpoints or (plan.work_dir / BACKBONE).exists()):
        raise InputError(f"--work-dir: expected no run in {plan.work_dir}, found one; use --resume or another folder")
    if resume and checkpoints:
        if checkpoints[-1].name > checkpoint_name(plan.iterations):
            raise InputError(
                f"schedule: expected more iterations than are done, found {plan.iterations} with {checkpoints[-1].name}"
            )
        return _go_on(saved, plan.checkpoints, now, allow_change)
    if resume:
        if (plan.work_dir / BACKBONE).exists():
            raise InputError(f"--resume: expected checkpoints in {plan.checkpoints}, found a finished run without any")
        log.warning("--resume: no checkpoint in %s yet: starting at the beginning", plan.checkpoints)
    plan.work_dir.mkdir(parents=True, exist_ok=True)
    write_text(saved, json.dumps(now, indent=1) + "\n")
    return Start()


def _go_on(saved: Path, folder: Path, now: dict[str, Any], allow_change: bool) -> Start:
    try:
        before = json.loads(saved.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise InputError(
            f"--resume: expected the settings that the run began with in {saved}, found none that can be read "
            f"({type(error).__name__}); restore the file or start in another --work-dir"
        ) from None
    differ = changes(before, now)
    matter = [c for c in differ if c.matters]
    fixed = [c for c in matter if c.what in FIXED]
    if fixed:
        raise InputError(
            f"--resume: expected the networks and optimiser that the checkpoints hold, found others in "
            f"{', '.join(map(str, fixed))}; undo that, or start in another --work-dir"
        )
    if matter and not allow_change:
        raise InputError(
            f"--resume: expected the run as it began, found others in {', '.join(map(str, matter))}; undo that, or add "
            "--allow-change to go on with a result that no run from one config gives"
        )
    checkpoint = newest_sound(folder)
    assert checkpoint is not None
    for change in differ:
        log.warning("resuming with another %s%s", change, "" if change.matters else ": the result stays the same")
    past = before.get("changes", [])
    if differ:
        past = [*past, {"after": checkpoint.name, "matters": bool(matter), "what": [str(c) for c in differ]}]
        write_text(saved, json.dumps({**now, "changes": past}, indent=1) + "\n")
    log.info("resuming from %s", checkpoint)
    # An allowed change holds for a checkpoint from before it, however often the run is resumed from there.
    return Start(checkpoint, any(c["matters"] and c["after"] >= checkpoint.name for c in past))
