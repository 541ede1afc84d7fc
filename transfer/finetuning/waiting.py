"""How PyTorch's threads wait for each other, decided before PyTorch is loaded: it is read only then."""

from __future__ import annotations

import os
import time
from collections.abc import MutableMapping
from pathlib import Path

LOOKS = 5  # at the machine, and the seconds between two
PAUSE = 0.01
# Turns of libgomp's waiting loop, some tenths of a millisecond: longer than the pause between two operations of a
# network, and short beside libgomp's own 300,000, in which another process of a busy machine gets nothing done.
SPINS = "10000"


def choose(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let waiting threads sleep at once on a machine that is busy, and look again for a moment on one that is not.

    Threads that spin while they wait are fast on an idle machine and ruinous on a busy one: with one more process on
    2 cores an iteration of fine-tuning took over 10 s, and 0.7 s with threads that sleep. On 2 idle cores those that
    sleep cost it a fifth of its time. What the user chose stays.

    Args:
        environment: changed in place: OMP_WAIT_POLICY or GOMP_SPINCOUNT is set where neither is.
    """
    if "OMP_WAIT_POLICY" in environment or "GOMP_SPINCOUNT" in environment:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = environment.get("OMP_NUM_THREADS", "")
    wanted = int(threads) if threads.isdecimal() else cores
    if others() + wanted > cores:
        environment["OMP_WAIT_POLICY"] = "passive"
    else:
        environment["GOMP_SPINCOUNT"] = SPINS


def others(loadavg: Path = Path("/proc/loadavg")) -> int:
    """Return how many other processes and threads of the machine want a core, as most of a few looks saw it.

    Where the system does not say (no Linux), the load average of the last minute, rounded.
    """
    counts = []
    for _ in range(LOOKS):
        try:
            running = loadavg.read_text(encoding="ascii").split()[3]
        except (OSError, IndexError):
            return round(os.getloadavg()[0])
        counts.append(int(running.partition("/")[0]) - 1)  # this process is one of them
        time.sleep(PAUSE)
    return max(0, sorted(counts)[LOOKS // 2])
