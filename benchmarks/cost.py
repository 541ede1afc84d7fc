"""Time and peak memory of every way of the meta step over those of a plain training step."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median, quantiles
from typing import Any

import torch

from benchmarks.memory import peak_bytes
from benchmarks.modes import MODES, PLAIN, Case, Mode, Trainee, random_views

MEMORY_TARGET = 1.35


def measure(
    case: Case, rounds: int, device: torch.device, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Time and peak memory of every mode over those of the plain step.

    Args:
        case: network and batch.
        rounds: how often each mode is timed, after one untimed round.
        device: where to run.
        progress: is told what is being measured.

    Returns:
        ``plain`` in seconds and bytes, and per mode: ``time`` and, on a CPU, ``cpu_time`` as ratios (median,
        quartiles, n), ``memory`` as a ratio, and the targets.
    """
    wall, cpu = _times(case, rounds, device, progress)
    peaks = {}
    for mode in (PLAIN, *MODES):
        progress(f"{case}: memory of {mode.name}")
        peaks[mode.name] = _peak(case, mode, device)
    rows = []
    for mode in MODES:
        row: dict[str, Any] = {"mode": mode.name, "target": mode.target, "time": _ratios(wall, mode)}
        if device.type == "cpu":  # apart from `time` only where other work shares the machine
            row["cpu_time"] = _ratios(cpu, mode)
        row["memory"], row["memory_target"] = peaks[mode.name] / peaks[PLAIN.name], MEMORY_TARGET
        rows.append(row)
    plain = {"seconds": _spread(wall[PLAIN.name]), "peak_bytes": peaks[PLAIN.name]}
    return {"case": str(case), **vars(case), "plain": plain, "rows": rows}


def _times(
    case: Case, rounds: int, device: torch.device, progress: Callable[[str], None]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Wall and processor seconds per step: each mode once in every round, the first round left out."""
    data = random_views(case, device)
    trainees = [(mode, Trainee(case, mode, device)) for mode in (PLAIN, *MODES)]
    wall: dict[str, list[float]] = {mode.name: [] for mode, _ in trainees}
    cpu: dict[str, list[float]] = {mode.name: [] for mode, _ in trainees}
    for turn in range(rounds + 1):
        for mode, trainee in trainees:
            # A cycle from its start each time; look-ahead's first one only fills its memory.
            seconds, processor = _timed(partial(trainee.steps, data, mode.cycle), device)
            if turn:
                wall[mode.name].append(seconds / mode.cycle)
                cpu[mode.name].append(processor / mode.cycle)
        progress(f"{case}: round {turn} of {rounds}")
    return wall, cpu


def _timed(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    _wait(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(case: Case, mode: Mode, device: torch.device) -> int:
    def prepare() -> Callable[[], object]:
        data, trainee = random_views(case, device), Trainee(case, mode, device)
        trainee.steps(data, max(2, mode.cycle))  # momentum buffers and look-ahead's memory exist from here on
        return lambda: trainee.steps(data, mode.cycle)

    return peak_bytes(prepare, device)


def _ratios(seconds: dict[str, list[float]], mode: Mode) -> dict[str, float]:
    """Each round's time over the same round's plain step."""
    return _spread([t / plain for t, plain in zip(seconds[mode.name], seconds[PLAIN.name], strict=True)])


def _spread(values: list[float]) -> dict[str, float]:
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    return {"median": median(values), "low": low, "high": high, "n": len(values)}
