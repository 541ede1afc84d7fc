"""What the benchmarks that time training steps share: timing in turn, the spread of the rounds, the machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from typing import Any

import torch

Seconds = dict[str, list[float]]  # name -> one figure a round


def in_turn(
    works: Mapping[str, Callable[[], object]], rounds: int, device: torch.device, progress: Callable[[str], None]
) -> tuple[Seconds, Seconds]:
    """Wall and processor seconds: each work once in every round, so that a drift of the machine meets all alike.

    Args:
        works: by name.
        rounds: timed ones, after one that is left out.
        device: where they run.
        progress: is told the round.
    """
    wall: Seconds = {name: [] for name in works}
    cpu: Seconds = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            seconds, processor = timed(work, device)
            if turn:
                wall[name].append(seconds)
                cpu[name].append(processor)
        progress(f"round {turn} of {rounds}")
    return wall, cpu


def timed(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Wall and processor seconds of one call, the device's work included."""
    wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wait(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ratios(seconds: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """The spread of each round's time over the same round's base."""
    return spread([t / b for t, b in zip(seconds, base, strict=True)])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, both quartiles (``low``, ``high``) and n."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    return {"median": median(values), "low": low, "high": high, "n": len(values)}


def machine(device: torch.device) -> dict[str, Any]:
    """Where figures were taken, and how busy it was."""
    gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if gpu else f"CPU ({platform.machine()})",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
