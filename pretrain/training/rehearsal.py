"""``--dry-run``: the whole training in small, in a folder that goes away again, to say what the real one will cost.

Several processes rehearse together, each in a folder of its own; what one of them cannot know, it asks the others.
"""

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

from pretrain.distributed import ranks
from pretrain.settings.schema import Settings
from pretrain.training.hooks import clock
from pretrain.training.plan import Plan
from pretrain.training.run import run_training
from pretrain.training.runner import PREFETCHED
from pretrain.training.term_shares import shares_of

FEWEST = 5  # iterations to measure
_WARM_UP = 2
_A_LINE = 8  # ranks whose memory stands in one line


@dataclass
class Stopwatch(Hook):
    """Seconds of every iteration, of them those spent waiting for the batch, and each term's share of the last step."""

    seconds: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
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
        self.shares = shares_of(outputs or {})
        self._last = now


@dataclass(frozen=True)
class Estimate:
    """What a training costs; the same on every rank.

    Attributes:
        iterations: how many were measured.
        seconds: per iteration, waiting for data included; of the slowest rank.
        waiting: share of the time in which the device waits for data; the largest of any rank.
        memory: peak of each rank, bytes; of its device on a GPU, of its process on a CPU.
        available: of that memory to each rank, bytes; on a CPU all ranks of a machine share it.
        checkpoint: size of one checkpoint, bytes.
        planned: iterations of the whole training.
        batch: images of an iteration, over all ranks.
        workers: loader processes of each rank.
        keep: checkpoints kept.
        device: name of the GPU; None for a CPU.
        threads: of the CPU, of each rank.
        shares: each term's share of the real step's gradient at the features.
    """

    iterations: int
    seconds: float
    waiting: float
    memory: tuple[int, ...]
    available: tuple[int, ...]
    checkpoint: int
    planned: int
    batch: int
    workers: int
    keep: int
    device: str | None
    threads: int
    shares: dict[str, float] = field(default_factory=dict)


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
        run=dataclasses.replace(settings.run, checkpoint_every=10**9, knn_every=0, objects_every=0),
    )
    watch = Stopwatch()
    root = logging.getLogger("pretrain")
    level = root.level
    with tempfile.TemporaryDirectory(prefix="pretrain-dry-run-") as folder:
        root.setLevel(max(logging.WARNING, root.getEffectiveLevel()))  # what it writes is gone in a moment
        try:
            short = dataclasses.replace(plan, work_dir=Path(folder), iterations=before + measured, warmup=0)
            run_training(small, short, init=init, hooks=[watch])
        finally:
            root.setLevel(level)
        checkpoint = max(p.stat().st_size for p in short.checkpoints.iterdir()) if ranks.rank() == 0 else 0
    seconds, waited = mean(watch.seconds[-measured:]), mean(watch.waited[-measured:])
    of_each_rank = ranks.gather_objects((seconds, min(1.0, waited / seconds), *_memory(), checkpoint))
    times, waits, memory, available, sizes = zip(*of_each_rank, strict=True)
    return Estimate(
        measured,
        max(times),
        max(waits),
        memory,
        available,
        max(sizes),
        planned=plan.iterations,
        batch=settings.data.batch,
        workers=settings.data.workers,
        keep=settings.run.keep,
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        threads=torch.get_num_threads(),
        shares=watch.shares,
    )


def describe(estimate: Estimate) -> str:
    """What ``--dry-run`` prints."""
    e, world = estimate, len(estimate.memory)
    where = e.device or f"CPU, {e.threads} threads"
    where = where if world == 1 else f"{world} processes, each {where}"
    each = "" if world == 1 else " of each; the rank that waits most"
    lines = [
        f"dry run on {where}: {e.iterations} iterations of {e.batch} images measured, nothing kept",
        *_memory_lines(e),
        f"speed      {e.batch / e.seconds:.1f} img/s, {e.seconds:.3f} s an iteration",
        f"waiting    {e.waiting:.0%} of the time for data ({e.workers} loader processes{each})",
        f"whole job  {clock(e.seconds * e.planned)} for {e.planned} iterations, estimated",
        f"disk       {_gigabytes(e.checkpoint * (e.keep + 1))} for checkpoints: {e.keep} that stay, one while it is "
        "written",
    ]
    if e.shares:
        parts = ", ".join(f"{name} {share:.1%}" for name, share in e.shares.items())
        lines.append(f"the step   {parts} (of the gradient at the features, at the start)")
    if e.waiting > 0.1:
        lines.append("           the device waits for data: raise data.workers, or store smaller images")
    return "\n".join(lines)


def _memory_lines(estimate: Estimate) -> list[str]:
    """One rank: its peak. Several: that of the fullest, then those of all in their order."""
    memory, gpu = estimate.memory, estimate.device is not None
    of = "device" if gpu else "this process; each of the loaders takes its own"
    if len(memory) == 1:
        return [f"memory     {_gigabytes(memory[0])} of {_gigabytes(estimate.available[0])} ({of})"]
    fullest = max(range(len(memory)), key=lambda k: memory[k] / estimate.available[k])
    of = "its device" if gpu else "the machine's, for all ranks there and their loaders"
    lines = [
        f"memory     {_gigabytes(memory[fullest])} of {_gigabytes(estimate.available[fullest])} on the fullest, rank "
        f"{fullest} ({of})"
    ]
    for first in range(0, len(memory), _A_LINE):
        some = memory[first : first + _A_LINE]
        numbers = " ".join(f"{size / 1e9:.2f}" for size in some)
        lines.append(f"           ranks {first}-{first + len(some) - 1}: {numbers} GB")
    return lines


def _memory() -> tuple[int, int]:
    if torch.cuda.is_available():
        device = torch.cuda.current_device()
        return torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(device).total_memory
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes on Linux
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak, _physical()


def _physical() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB"
