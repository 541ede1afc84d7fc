"""What a run will do and where: images, length, and the work folder that must hold this run or none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretrain.data import BatchOrder
from pretrain.errors import InputError
from pretrain.settings import Settings, as_plain, load_settings
from pretrain.sources import Source

BACKBONE = "backbone.safetensors"


@dataclass(frozen=True)
class Plan:
    """Where the images are, where the results go, and how long it takes.

    Attributes:
        source: the images.
        work_dir: folder of this run's checkpoints, logs and weights.
        iterations, warmup: iterations of the whole training and of the warm-up.
    """

    source: Source
    work_dir: Path
    iterations: int
    warmup: int

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
    return Plan(source, work_dir, iterations, min(round(schedule.warmup_epochs * per_epoch), iterations - 1))


def prepare(settings: Settings, plan: Plan, resume: bool) -> Path | None:
    """Make the work folder this run's: save its settings and data, or find the checkpoint to go on from.

    A folder in which a run failed before its first checkpoint holds nothing to lose and is taken again.

    Returns:
        The newest checkpoint with ``resume``, else None.

    Raises:
        InputError: the folder holds another run, or there is nothing to resume, or not with these settings and data.
    """
    saved, found = plan.work_dir / "run.json", find_checkpoints(plan.checkpoints)
    now = _plain({"settings": as_plain(settings), "data": plan.data_record()})
    if resume:
        if not found or not saved.is_file():
            raise InputError(f"--resume: expected checkpoints in {plan.checkpoints}, found none; leave --resume out")
        _check_same(json.loads(saved.read_text()), now)
        return found[-1]
    if found or (plan.work_dir / BACKBONE).exists():
        raise InputError(f"--work-dir: expected no run in {plan.work_dir}, found one; use --resume or another folder")
    plan.work_dir.mkdir(parents=True, exist_ok=True)
    saved.write_text(json.dumps(now, indent=1) + "\n")
    return None


def checkpoint_name(iteration: int) -> str:
    """File name of the checkpoint after an iteration."""
    return f"iteration_{iteration:08d}.pth"


def find_checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(folder.glob("iteration_*.pth"))


def _check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    # Through the settings, so that one that is newer than the run counts with its default.
    settings = _plain(as_plain(load_settings(before["settings"])))
    keys = [k for k, v in now["settings"].items() if v != settings.get(k)]
    if keys:
        raise InputError(f"--resume: expected the settings that the run began with, found others in {', '.join(keys)}")
    if before["data"]["fingerprint"] != now["data"]["fingerprint"]:
        raise InputError(
            f"--resume: expected the {before['data']['images']} images that the run began with "
            f"({before['data']['path']}), found {now['data']['images']} others or changed ones in {now['data']['path']}"
        )


def _plain(value: Any) -> Any:
    """As it will be after a trip through JSON: tuples are lists."""
    return json.loads(json.dumps(value))
