"""Commands with a product: run side by side, each left out where its product is there already."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from benchmarks.outputs import Failed

PATIENCE = 30.0  # seconds that an interrupted command has to save


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        kind: steps of one kind take about as long as each other: what the time left is estimated from.
        name: for the log and the line of progress.
        product: what it makes; it runs only while that is missing.
        arguments: what follows ``python -m``.
        log: takes what it prints.
        may_fail: an error is a result too: what follows in its chain is left out, all else goes on.
    """

    kind: str
    name: str
    product: Path
    arguments: tuple[str, ...]
    log: Path
    may_fail: bool = False


@dataclass
class Clock:
    """What is left, and how long that takes at the pace so far."""

    jobs: int
    left: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    began: float = field(default_factory=time.monotonic)

    def done(self, step: Step, seconds: float | None) -> str:
        """Count ``step``; the line that says so. ``seconds`` is None for a step that had been run before."""
        self.left[step.kind] -= 1
        if seconds is None:
            return f"{step.name}: there already"
        self.took[step.kind].append(seconds)
        known = fmean(s for kind in self.took.values() for s in kind)
        rest = sum(n * (fmean(self.took[kind]) if self.took[kind] else known) for kind, n in self.left.items())
        return (
            f"[{_minutes(time.monotonic() - self.began)}, about {_minutes(rest / self.jobs)} left] {step.name}: "
            f"{seconds:.0f} s"
        )


def run(chains: Iterable[Sequence[Step]], jobs: int) -> None:
    """Run every chain of steps in order, ``jobs`` chains side by side, each with its share of the cores.

    Raises:
        Failed: a command ended with an error; those beside it are stopped, and go on from there another time.
    """
    waiting = [list(chain) for chain in chains]
    clock, lock, stop = Clock(jobs), threading.Lock(), threading.Event()
    for chain in waiting:
        for step in chain:
            clock.left[step.kind] += 1
    threads = max(1, (os.cpu_count() or 1) // jobs)

    def follow(chain: list[Step]) -> None:
        for step in chain:
            if stop.is_set():
                return
            try:
                seconds = None if step.product.exists() else _run(step, threads, stop)
                said = clock.done(step, seconds)
            except Failed as error:
                if not step.may_fail or stop.is_set():
                    raise
                said = str(error)
            with lock:
                print(said, flush=True)
            if not step.product.exists():
                return

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for future in as_completed([pool.submit(follow, chain) for chain in waiting]):
                future.result()
        except BaseException:
            stop.set()
            raise


def _run(step: Step, threads: int, stop: threading.Event) -> float:
    """Run one command; the seconds it took."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    step.log.parent.mkdir(parents=True, exist_ok=True)
    step.product.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with step.log.open("ab") as log:
        command = [sys.executable, "-m", *step.arguments]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        code = _wait(process, stop)
    if code:
        raise Failed(f"{step.name}: ended with {code}: `python -m {' '.join(step.arguments)}`; see {step.log}")
    if not step.product.exists():
        raise Failed(f"{step.name}: expected {step.product} from it, found nothing; see {step.log}")
    return time.monotonic() - began


def _wait(process: subprocess.Popen[bytes], stop: threading.Event) -> int:
    """Wait for the end; after an interrupt, which a terminal's commands get themselves, not for long."""
    while not stop.is_set():
        try:
            return process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue
    process.terminate()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
