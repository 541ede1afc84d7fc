"""The whole chain on a small real data set: data, pretraining, conversion, two fine-tunings, report.

    python -m transfer demo --out runs/demo [--quick]

Every stage is a command that a user would type; it is shown, run as a process of its own, timed and logged. An
earlier demo in the folder is moved aside, never deleted.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from transfer.errors import InputError, Interrupted
from transfer.files import places
from transfer.records.stages import Stage, write_stages

# 10 minutes on 2 cores: pretraining and the two fine-tunings take nearly all of it, in equal parts.
TRAIN, VAL, UNLABELED = 240, 60, 600
SEED = 0
PRETRAIN_CONFIG = "configs/pretrain/metamask_r18_digits_demo.py"
DETECTOR_CONFIG = "configs/segmentation/digits_mask_rcnn_R_18_FPN_demo.yaml"

# --quick: does everything fit together? A few iterations measure nothing.
QUICK_IMAGES = (12, 6, 16)
QUICK_PRETRAIN = ["--cfg-options", "schedule.iterations=2", "data.batch=8", "data.workers=0"]
QUICK_DETECTOR = ["SOLVER.MAX_ITER", "4", "SOLVER.STEPS", "(3,)", "SOLVER.WARMUP_ITERS", "1"]
QUICK_DETECTOR += ["TEST.PRECISE_BN.NUM_ITER", "2"]

PATIENCE = 10.0  # seconds that an interrupted stage has to end by itself
STAGES_FILE = "stages.json"  # stages finished so far; also what marks a folder as a demo's


def run(out: str | Path, *, quick: bool = False) -> int:
    """Run the whole chain below ``out``, where an earlier demo is moved aside.

    Args:
        out: folder for everything the demo makes.
        quick: a few images and iterations, which measure nothing and show that everything fits together.

    Returns:
        0, or the exit code of the stage that failed, which ends the chain.

    Raises:
        InputError: ``out`` holds something that is not a demo, or cannot be written.
        Interrupted: Ctrl-C; what is finished stays.
    """
    out = Path(out)
    try:
        prepare(out)
        return run_stages(make_stages(out, quick), out)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; what is finished lies in {out}", signal.SIGINT) from None


@dataclass(frozen=True)
class Command:
    """A name for tables and logs, and what follows ``python`` on the command line."""

    name: str
    arguments: list[str]

    @property
    def command(self) -> str:
        """What a user would type."""
        return shlex.join(["python", *self.arguments])


def make_stages(out: Path, quick: bool = False) -> list[Command]:
    """Return the demo's stages, all of whose files lie under ``out``."""
    train, val, unlabeled = QUICK_IMAGES if quick else (TRAIN, VAL, UNLABELED)
    data, backbone, weights = out / "data", out / "pretrain/backbone.safetensors", out / "detectron2.pth"
    counts = ["--train", str(train), "--val", str(val), "--unlabeled", str(unlabeled), "--seed", str(SEED)]
    digits = ["-m", "transfer.demo.digits", "--out", str(data), *counts]
    pretrain = [
        "-m",
        "pretrain",
        PRETRAIN_CONFIG,
        "--data",
        str(data / "unlabeled"),
        "--work-dir",
        str(out / "pretrain"),
    ]
    convert = ["-m", "transfer", "convert", str(backbone), "--to", "detectron2", "--out", str(weights)]
    report = ["-m", "transfer", "report", str(out / "pretrained"), str(out / "random")]
    report += ["--pretrain", str(out / "pretrain"), "--stages", str(out / STAGES_FILE), "--out", str(out / "report")]
    arguments = {
        "data": digits,
        "pretrain": pretrain + (QUICK_PRETRAIN if quick else []),
        "convert": convert,
        "finetune-pretrained": _finetune(data, str(weights), out / "pretrained", quick),
        "finetune-random": _finetune(data, "random", out / "random", quick),
        "report": report,
    }
    return [Command(name, words) for name, words in arguments.items()]


def _finetune(data: Path, init: str, out: Path, quick: bool) -> list[str]:
    coco = data / "coco"
    arguments = ["-m", "transfer.train_net", "--config-file", DETECTOR_CONFIG, "--init", init]
    for split in ("train", "val"):
        arguments += [f"--{split}", str(coco / split), str(coco / f"annotations/instances_{split}.json")]
    return [*arguments, "--seed", str(SEED), "OUTPUT_DIR", str(out), *(QUICK_DETECTOR if quick else [])]


def prepare(out: Path) -> None:
    """Make ``out`` a new demo folder; an earlier demo, finished or not, is moved to ``out.1``, ``out.2`` ... first.

    Raises:
        InputError: ``out`` holds something that is not a demo.
    """
    places.check_folder(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not (out / STAGES_FILE).is_file():
            raise InputError(
                f"{out} is taken: expected a new folder or an earlier demo (with {STAGES_FILE}), found something "
                "else; name another with --out"
            )
        number = 1
        while (aside := out.with_name(f"{out.name}.{number}")).exists():
            number += 1
        out.rename(aside)
        print(f"{out} held an earlier demo: moved to {aside} (remove it when you do not need it)\n", flush=True)
    write_stages(out / STAGES_FILE, [])


def run_stages(stages: list[Command], out: Path) -> int:
    """Run the stages one after the other; return 0, or the exit code of the one that failed (it ends the demo)."""
    done: list[Stage] = []
    for number, stage in enumerate(stages, 1):
        print(f"\n== {number}/{len(stages)} {stage.name}\n$ {stage.command}", flush=True)
        log = out / "logs" / f"{number}-{stage.name}.log"
        start = time.monotonic()
        code = run_command([sys.executable, *stage.arguments], log)
        seconds = time.monotonic() - start
        if code:
            print(
                f"transfer demo: stage {stage.name} failed with exit code {code} after {seconds:.0f} s; see {log}",
                file=sys.stderr,
            )
            return code
        done.append(Stage(stage.name, round(seconds, 1), stage.command))
        write_stages(out / STAGES_FILE, done)
    return 0


def run_command(command: list[str], log: Path) -> int:
    """Run ``command``; what it prints goes to the terminal and to ``log`` as it comes, progress lines included.

    Returns:
        Its exit code, or 128 + N when signal N ended it, as shells count.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # a pipe would hold lines back for minutes
    with (
        log.open("wb") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as process,
    ):
        assert process.stdout is not None  # it is a pipe
        # In a thread of its own: an interrupt between reading and writing would lose what was read.
        done = threading.Event()
        threading.Thread(target=_pass_on, args=(process.stdout.fileno(), file, done)).start()
        try:
            _wait(done)
        except KeyboardInterrupt:
            # From a terminal the stage got it too, may be saving and has something to say; a kill reached us alone.
            patience = threading.Timer(PATIENCE, process.terminate)
            patience.start()
            _wait(done)
            patience.cancel()
            raise
    code = process.returncode
    return code if code >= 0 else 128 - code


def _pass_on(pipe: int, log: BinaryIO, done: threading.Event) -> None:
    """Copy what comes through ``pipe`` to the log and the terminal until the other end closes it."""
    try:
        while piece := os.read(pipe, 65536):
            log.write(piece)
            log.flush()
            sys.stdout.buffer.write(piece)
            sys.stdout.flush()
    finally:
        done.set()


def _wait(done: threading.Event) -> None:
    while not done.wait(0.1):  # in short waits, so that an interrupt that another thread took is noticed
        pass
