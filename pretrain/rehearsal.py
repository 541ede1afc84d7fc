"""``--dry-run``: the whole training in small, in a folder that goes away again, to say what the real one will cost."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from pretrain.hooks import clock
from pretrain.plan import Plan
from pretrain.settings import Settings
from pretrain.train import PREFETCHED, train

FEWEST = 5  # iterations to measure
_WARM_UP = 2


@dataclass
class Stopwatch(Hook):
    """Seconds of every iteration, and of them those spent waiting for the batch."""

    seconds: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    _last: float = math.nan

    priority = "VERY_LOW"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note the wait, which MMEngine's timer measures."""
        if not self.waited:
            self._last = time.perf_counter()
        self.waited.append(float(runner.message_hub.get_scalar("train/data_time").current()))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Note the end, once the device is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


@dataclass(frozen=True)
class Estimate:
    """What a training costs.

    Attributes:
        iterations: how many were measured.
        seconds: per iteration, waiting for data included.
        waiting: share of the time in which the device waits for data.
        memory: peak, bytes; of the device on a GPU, of this process on a CPU.
        available: of that memory, bytes.
        checkpoint: size of one checkpoint, bytes.
    """

    iterations: int
    seconds: float
    waiting: float
    memory: int
    available: int
    checkpoint: int


def rehearse(settings: Settings, plan: Plan, init: Path | None = None) -> Estimate:
    """Train for a few iterations from scratch, everything included, and measure the last of them.

    The meta step takes part from the start, and whole cycles of ``meta.every`` are measured; what the loader works
    ahead is consumed before. ``plan.work_dir`` is neither read nor written.
    """
    cycle = settings.meta.every
    measured = math.ceil(FEWEST / cycle) * cycle
    before = math.ceil((_WARM_UP + PREFETCHED * settings.data.workers) / cycle) * cycle
    small = dataclasses.replace(
        settings,
        meta=dataclasses.replace(settings.meta, start=0),
        run=dataclasses.replace(settings.run, checkpoint_every=10**9, knn_every=0),
    )
    watch = Stopwatch()
    root = logging.getLogger("pretrain")
    level = root.level
    with tempfile.TemporaryDirectory(prefix="pretrain-dry-run-") as folder:
        root.setLevel(logging.WARNING)  # what it writes is gone in a moment
        try:
            short = dataclasses.replace(plan, work_dir=Path(folder), iterations=before + measured, warmup=0)
            train(small, short, init=init, hooks=[watch])
        finally:
            root.setLevel(level)
        checkpoint = max(p.stat().st_size for p in short.checkpoints.iterdir())
    seconds, waited = mean(watch.seconds[-measured:]), mean(watch.waited[-measured:])
    memory, available = _memory()
    return Estimate(measured, seconds, min(1.0, waited / seconds), memory, available, checkpoint)


def describe(estimate: Estimate, settings: Settings, plan: Plan) -> str:
    """What ``--dry-run`` prints."""
    e, batch, gpu = estimate, settings.data.batch, torch.cuda.is_available()
    where = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    of = "device" if gpu else "this process; each of the loaders takes its own"
    lines = [
        f"dry run on {where}: {e.iterations} iterations of {batch} images measured, nothing kept",
        f"memory     {_gigabytes(e.memory)} of {_gigabytes(e.available)} ({of})",
        f"speed      {batch / e.seconds:.1f} img/s, {e.seconds:.3f} s an iteration",
        f"waiting    {e.waiting:.0%} of the time for data ({settings.data.workers} loader processes)",
        f"whole job  {clock(e.seconds * plan.iterations)} for {plan.iterations} iterations, estimated",
        f"disk       {_gigabytes(e.checkpoint * (settings.run.keep + 1))} for checkpoints: {settings.run.keep} kept, "
        "one while it is written",
    ]
    if e.waiting > 0.1:
        lines.append("           the device waits for data: raise data.workers, or store smaller images")
    return "\n".join(lines)


def _memory() -> tuple[int, int]:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(0).total_memory
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes on Linux
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak, _physical()


def _physical() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB"
