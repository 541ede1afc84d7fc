"""One cell: one method and one seed, trained by ``python -m pretrain`` and looked at along its way."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.outputs import Failed
from pretrain.atomic import write_text
from pretrain.training.checkpoint_files import find_checkpoints

CONFIGS = Path(__file__).parents[2] / "configs" / "pretrain"
WEIGHTS = "backbone.safetensors"
RESULT = "looks.json"


@dataclass(frozen=True)
class Length:
    """How long every method trains, and how often it is looked at.

    Attributes:
        iterations: of the whole training.
        batch: images an iteration, two views each.
        size: side of the views, pixels.
        looks: how many times the features are judged, evenly spread, the last at the end.
    """

    iterations: int
    batch: int
    size: int
    looks: int

    @property
    def every(self) -> int:
        """Iterations between two looks."""
        return max(1, self.iterations // self.looks)


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        name: of the row in the table.
        config: file name below configs/pretrain, without ``.py``.
        seed: of weights, order and views.
        options: further ``KEY=VALUE`` settings.
    """

    name: str
    config: str
    seed: int
    options: tuple[str, ...] = ()

    def folder(self, out: Path) -> Path:
        """Where the cell's files lie."""
        return out / "cells" / f"{self.name}_seed{self.seed}"

    def command(self, images: Path, out: Path, length: Length) -> list[str]:
        """What trains it, and goes on with it after an interruption."""
        options = {
            "schedule.iterations": length.iterations,
            "data.batch": length.batch,
            "data.workers": 0,
            "views.size": length.size,
            "run.seed": self.seed,
            "run.log_every": max(1, length.iterations // 100),
            "run.checkpoint_every": length.every,
            "run.keep": length.looks + 1,
        }
        return [
            sys.executable,
            "-m",
            "pretrain",
            str(CONFIGS / f"{self.config}.py"),
            *("--data", str(images), "--work-dir", str(self.folder(out) / "run"), "--resume", "--cfg-options"),
            *(f"{key}={value}" for key, value in options.items()),
            *self.options,
        ]


def train(cell: Cell, images: Path, out: Path, length: Length) -> None:
    """Train a cell to its end unless it is there; the processor seconds of every call add up in ``seconds.json``.

    Raises:
        Failed: the training ended with an error.
    """
    folder = cell.folder(out)
    if (folder / "run" / WEIGHTS).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    command = cell.command(images, out, length)
    described = {**asdict(cell), **asdict(length), "command": shlex.join(["python", *command[1:]])}
    check_same(folder / "cell.json", described)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=single_thread())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    write_text(folder / "seconds.json", json.dumps(spent + processor_seconds(folder)))
    if done.returncode:
        last = (folder / "log.txt").read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise Failed(f"{cell.name}, seed {cell.seed}: the training ended with {done.returncode}: {''.join(last)}")


def processor_seconds(folder: Path) -> float:
    """What the cell's trainings have taken so far."""
    file = folder / "seconds.json"
    return float(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else 0.0


def check_same(file: Path, described: dict[str, Any]) -> None:
    """Write what a cell is, or refuse a folder that holds another one.

    Raises:
        Failed: the folder's cell was described otherwise.
    """
    described = json.loads(json.dumps(described))
    if not file.is_file():
        write_text(file, json.dumps(described, indent=1) + "\n")
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    differing = sorted(k for k in before.keys() | described.keys() if before.get(k) != described.get(k))
    if [k for k in differing if k != "command"]:
        raise Failed(f"{file}: expected the same cell, found another {', '.join(differing)}; take another --out")


def snapshots(cell: Cell, out: Path) -> Sequence[Path]:
    """The checkpoints of a finished training, oldest first."""
    return find_checkpoints(cell.folder(out) / "run" / "checkpoints") or find_checkpoints(cell.folder(out) / "run")


def single_thread() -> dict[str, str]:
    """The environment of one cell: one thread, so that cells beside each other do not slow each other down."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
