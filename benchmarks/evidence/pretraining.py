"""A pretraining as a command, and what its features are worth without a detector."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.evidence.sets import Photographs, Split
from benchmarks.evidence.sizes import Init, Size
from benchmarks.evidence.steps import Step
from benchmarks.sets import single_objects
from pretrain.reporting.metrics_file import NAME, MetricsFile

WARM_UP = 0.1  # share of the iterations
BACKBONE = "backbone.safetensors"


def command(init: Init, size: Size, course: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The config of a start, and what it is overridden with, as ``key=value``."""
    options = {**size.pretraining, "views.size": size.view, **init.options, **course}
    return f"configs/pretrain/{init.config}.py", [f"{key}={value}" for key, value in options.items()]


def schedule(iterations: int, rate: float, seed: int, size: Size, data: Photographs) -> dict[str, Any]:
    """A course of ``iterations``, a tenth of them warm-up (the upper level starts after it)."""
    images = sum(1 for _ in data.unlabelled.iterdir())
    return {
        "schedule.iterations": iterations,
        "schedule.warmup_epochs": round(WARM_UP * iterations * size.pretraining["data.batch"] / images, 4),
        "optimizer.lr": rate,
        "run.seed": seed,
    }


def pretrain(
    kind: str, name: str, init: Init, size: Size, course: Mapping[str, Any], data: Photographs, folder: Path
) -> Step:
    """The step that makes ``folder/pretrain/backbone.safetensors``; an interrupted one goes on."""
    config, options = command(init, size, course)
    work = folder / "pretrain"
    arguments = ("pretrain", config, "--data", str(data.unlabelled), "--work-dir", str(work), "--resume")
    return Step(kind, name, work / BACKBONE, (*arguments, "--cfg-options", *options), folder / "log")


def knn(name: str, weights: str, folders: Path, size: Size, seed: int, folder: Path) -> Step:
    """The step that judges frozen features: 5 nearest neighbours on cut-out objects, and their effective rank."""
    out = folder / "knn.json"
    arguments = ("pretrain", "evaluate", weights, "--data", str(folders), "--protocol", "knn", "--out", str(out))
    return Step(
        "knn", f"{name}, 5-nn", out, (*arguments, "--size", str(size.view), "--seed", str(seed)), folder / "log"
    )


def objects(bank: Split, query: Split, out: Path, side: int = 64) -> Path:
    """Cut every annotated object out, into ``out/train/CLASS`` and ``out/val/CLASS``, unless ``out`` is there."""
    if not out.exists():
        making = out.with_name(f"{out.name}.making")
        shutil.rmtree(making, ignore_errors=True)  # of an interrupted call
        for name, split in (("train", bank), ("val", query)):
            for found in single_objects.every_object(split.annotations)[0]:
                single_objects.write(found, split.images, making / name, side)
        making.rename(out)
    return out


@dataclass(frozen=True)
class Ending:
    """The last fifth of a training.

    Attributes:
        judged: mean of the contrastive loss where the method has one, which is what MetaMask's upper level judges by;
            else of the whole loss. The sum of Barlow Twins, hundreds of times as large, would hide it.
        error: standard error of that mean.
        whole: mean of the whole loss.
    """

    judged: float
    error: float
    whole: float


def ending(folder: Path) -> Ending | None:
    """How ``folder/pretrain``, logged at every iteration, ended; None when it did not."""
    if not (folder / "pretrain" / BACKBONE).exists():
        return None
    lines = MetricsFile(folder / "pretrain" / NAME).read()
    last = lines[-max(2, math.ceil(len(lines) / 5)) :]
    judged = [line.get("contrastive", line["loss"]) for line in last]
    return Ending(fmean(judged), stdev(judged) / math.sqrt(len(judged)), fmean(line["loss"] for line in last))
