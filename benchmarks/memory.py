"""Peak memory of a training step, weights and optimiser included."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

_WINDOW = "measured steps"


def peak_bytes(prepare: Callable[[], Callable[[], object]], device: torch.device) -> int:
    """The most bytes of tensors alive at once during the measured work.

    On a GPU from ``torch.cuda.max_memory_allocated``. On a CPU from the profiler's allocation events, added up from
    before the model exists, so that weights, momentum buffers and what outlives a step all count.

    Args:
        prepare: builds model and optimisers, runs what must come first, and returns the measured work.
        device: where the work runs.
    """
    if device.type == "cuda":
        return _peak_on_gpu(prepare, device)
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # else the profiler calls a machine without a GPU an error
    with warnings.catch_warnings():
        # One cycle loses nothing, and keeping events for more (acc_events) takes longer than the steps themselves.
        warnings.filterwarnings("ignore", ".*Profiler clears events at the end of each cycle", UserWarning)
        profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        with profiler:
            work = prepare()
            with record_function(_WINDOW):
                work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"  # the trace is the public form of the allocation events
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return peak_of_trace(events)


def peak_of_trace(events: Iterable[Mapping[str, Any]]) -> int:
    """Largest running sum of the allocations of a Chrome trace within the window of the measured steps.

    Raises:
        ValueError: the trace holds no window or no allocation.
    """
    events = list(events)
    window = next((e for e in events if e.get("name") == _WINDOW and e.get("ph") == "X"), None)
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]")
    if window is None or not changes:
        raise ValueError(f"profile: expected the window {_WINDOW!r} and [memory] events, found a trace without them")
    begin, end = window["ts"], window["ts"] + window["dur"]
    alive = peak = 0
    for time, change in changes:
        before, alive = alive, alive + change
        if begin <= time <= end:
            peak = max(peak, before, alive)
    return peak


def _peak_on_gpu(prepare: Callable[[], Callable[[], object]], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    work = prepare()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
