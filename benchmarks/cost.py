"""Time and peak memory of every way of the meta step over those of a plain training step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.memory import peak_bytes
from benchmarks.modes import MODES, PLAIN, Case, Mode, Trainee, random_views
from benchmarks.timing import Seconds, in_turn, ratios, spread

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
        time = ratios(wall[mode.name], wall[PLAIN.name])
        row: dict[str, Any] = {"mode": mode.name, "target": mode.target, "time": time}
        if device.type == "cpu":  # apart from `time` only where other work shares the machine
            row["cpu_time"] = ratios(cpu[mode.name], cpu[PLAIN.name])
        row["memory"], row["memory_target"] = peaks[mode.name] / peaks[PLAIN.name], MEMORY_TARGET
        rows.append(row)
    plain = {"seconds": spread(wall[PLAIN.name]), "peak_bytes": peaks[PLAIN.name]}
    return {"case": str(case), **vars(case), "plain": plain, "rows": rows}


def _times(case: Case, rounds: int, device: torch.device, progress: Callable[[str], None]) -> tuple[Seconds, Seconds]:
    """Wall and processor seconds per step."""
    data, modes = random_views(case, device), (PLAIN, *MODES)
    # A cycle from its start each time.
    works = {mode.name: partial(Trainee(case, mode, device).steps, data, mode.cycle) for mode in modes}
    timings = in_turn(works, rounds, device, lambda text: progress(f"{case}: {text}"))
    wall, cpu = ({mode.name: [s / mode.cycle for s in seconds[mode.name]] for mode in modes} for seconds in timings)
    return wall, cpu


def _peak(case: Case, mode: Mode, device: torch.device) -> int:
    def prepare() -> Callable[[], object]:
        data, trainee = random_views(case, device), Trainee(case, mode, device)
        trainee.steps(data, max(2, mode.cycle))  # momentum buffers exist from here on
        return lambda: trainee.steps(data, mode.cycle)

    return peak_bytes(prepare, device)
