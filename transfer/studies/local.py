"""Steps as processes of this machine: side by side, each once, whatever happened to the study that began them."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from transfer.errors import InputError, Interrupted
from transfer.files.atomic import write_text
from transfer.studies.step import Step, in_order

WAITING, RUNNING, ELSEWHERE, DONE, FAILED, BLOCKED = "left", "running", "elsewhere", "done", "failed", "left out"
PATIENCE = 60.0  # seconds that an interrupted command has to save
POLL = 0.1  # seconds between two looks at the processes
RETRY = 1.0  # seconds between two looks at steps that another process is running
_PDEATHSIG = 1  # prctl(2): the signal a process gets when its parent dies


@dataclass
class State:
    """Where one step stands.

    Attributes:
        step: which.
        status: one of the words above.
        seconds: that it took in this call; null unless it was run to its end here.
        why: the last line of the log of a failed step.
    """

    step: Step
    status: str = WAITING
    seconds: float | None = None
    why: str = ""


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    began: float
    devices: tuple[str, ...]
    files: list[BinaryIO]


@dataclass
class Local:
    """Runs steps on this machine.

    Attributes:
        out: the study's folder.
        jobs: steps side by side.
        devices: GPUs to share out, as CUDA_VISIBLE_DEVICES names them; empty on a machine without.
        watch: called with the states of all steps after each change, and about every second.
    """

    out: Path
    jobs: int = 1
    devices: Sequence[str] = ()
    watch: Callable[[Sequence[State]], None] = lambda states: None
    _running: dict[str, _Running] = field(default_factory=dict)
    _signum: int = 0

    def run(self, steps: Sequence[Step]) -> list[State]:
        """Run every step whose product is missing, and what it needs, as far as that goes.

        A command that fails leaves out what needs it; all else goes on. A step that another call is running, on this
        machine or on another that shares the folder, is waited for.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, when the commands have ended; the same call goes on.
        """
        states = {step.id: State(step) for step in in_order(steps)}
        before = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._work(states)
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)  # who calls this may fork, and a fork that catches SIGTERM can miss it
        if self._signum:
            raise Interrupted("interrupted, the commands have been stopped; the same command goes on", self._signum)
        return list(states.values())

    def _work(self, states: Mapping[str, State]) -> None:
        watched = tried = 0.0
        while not self._signum:
            changed = self._reap(states)
            elsewhere = time.monotonic() - tried > RETRY
            tried = time.monotonic() if elsewhere else tried
            for state in states.values():
                if state.status == WAITING or (state.status == ELSEWHERE and elsewhere):
                    changed |= self._advance(state, states)
            if changed or time.monotonic() - watched > 1:
                self.watch(list(states.values()))
                watched = time.monotonic()
            if not any(state.status in (WAITING, RUNNING, ELSEWHERE) for state in states.values()):
                return
            time.sleep(POLL)

    def _advance(self, state: State, states: Mapping[str, State]) -> bool:
        """Start a step, or say why it need not or cannot be; whether anything has changed."""
        before, needs = state.status, [states[need.id].status for need in state.step.needs]
        if state.step.product.exists():
            state.status = DONE
        elif any(status in (FAILED, BLOCKED) for status in needs):
            state.status = BLOCKED
        elif all(status == DONE for status in needs):
            devices = self._free(state.step)
            if devices is not None:
                state.status = self._start(state.step, devices)
        return state.status != before

    def _free(self, step: Step) -> tuple[str, ...] | None:
        """The devices that a step may use now: the least busy ones; None when it has to wait."""
        if len(self._running) >= self.jobs:
            return None
        if not self.devices or not step.gpus:
            return ()
        busy = dict.fromkeys(self.devices, 0)
        for running in self._running.values():
            for device in running.devices:
                busy[device] += 1
        room = -(-self.jobs // len(self.devices))  # steps on one device
        free = sorted((d for d in self.devices if busy[d] < max(1, room)), key=lambda d: busy[d])
        return tuple(free[: step.gpus]) if len(free) >= step.gpus else None

    def _start(self, step: Step, devices: tuple[str, ...]) -> str:
        lock = _lock(self.out / "locks" / f"{step.id}.lock")
        if lock is None:
            return ELSEWHERE
        if step.product.exists():  # made by another call, since it was looked for
            lock.close()
            return DONE
        step.log.parent.mkdir(parents=True, exist_ok=True)
        if step.product.parent.parent == self.out:  # a folder of the study's; a command makes its own itself
            step.product.parent.mkdir(parents=True, exist_ok=True)
        log = step.log.open("ab")
        log.write(f"$ {step.command}\n".encode())
        log.flush()
        output = _part(step).open("wb") if step.captured else log
        environment = {"OMP_NUM_THREADS": str(max(1, _cores() // self.jobs)), **os.environ, "PYTHONUNBUFFERED": "1"}
        if self.devices:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        process = subprocess.Popen(
            [sys.executable, *step.arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C at a terminal comes to the study alone, which passes it on
            pass_fds=(lock.fileno(),),  # held for as long as the command lives, even when the study is killed
            preexec_fn=_die_with_parent,
        )
        lock.close()
        self._running[step.id] = _Running(process, time.monotonic(), devices, [log, output])
        return RUNNING

    def _reap(self, states: Mapping[str, State]) -> bool:
        """Look at the processes; whether one has ended."""
        ended = {name: code for name, r in self._running.items() if (code := r.process.poll()) is not None}
        for name, code in ended.items():
            running, state = self._running.pop(name), states[name]
            for file in running.files:
                file.close()
            state.seconds = time.monotonic() - running.began
            if code == 0 and state.step.captured:
                os.replace(_part(state.step), state.step.product)
            state.status = DONE if code == 0 and state.step.product.exists() else FAILED
            note_time(state.step, state.seconds, code)
            if state.status == FAILED:
                state.why = last_line(state.step.log) or f"ended with exit code {code}"
        return bool(ended)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        self._signum = signum

    def _stop(self) -> None:
        """End what is running: time to save, then no more."""
        for running in self._running.values():
            running.process.terminate()
        limit = time.monotonic() + PATIENCE
        for running in self._running.values():
            try:
                running.process.wait(max(0.0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(running.process.pid, signal.SIGKILL)
                running.process.wait()
            for file in running.files:
                file.close()
        self._running.clear()


def last_line(log: Path) -> str:
    """The last words of a log, without what marks a progress bar."""
    try:
        lines = log.read_bytes()[-20_000:].decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def note_time(step: Step, seconds: float, code: int) -> None:
    """Add one attempt to the step's file of times."""
    write_text(_times_file(step), json.dumps([*times(step), [round(seconds, 1), code]]) + "\n")


def times(step: Step) -> list[list[float]]:
    """[seconds, exit code] of each attempt that has ended, in all calls; killed ones are not there."""
    try:
        content: list[list[float]] = json.loads(_times_file(step).read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError):
        return []  # only the estimate of the time left is made of them


def _times_file(step: Step) -> Path:
    return step.log.with_suffix(".times.json")


def _part(step: Step) -> Path:
    return step.product.with_name(f".{step.product.name}.part")


def _lock(path: Path) -> BinaryIO | None:
    """An open file that no other process has locked, or None while one has.

    Raises:
        InputError: the file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:
        file.close()
        raise InputError(
            f"{path}: expected a file system with locks, without which two calls would run one step, found "
            f"{error.strerror}; name an --out on another"
        ) from None
    return file


def _die_with_parent() -> None:
    """In a new process: get SIGTERM when the study is killed. Linux only; elsewhere the lock alone keeps order."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> tuple[str, ...]:
    """The GPUs of this machine that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return tuple(name for name in given.split(",") if name.strip())
    import torch

    return tuple(map(str, range(torch.cuda.device_count())))


def check_gpus(devices: Sequence[str], most: int) -> None:
    """Raise InputError when a step asks for more GPUs than there are; without any, the CPU does all of it."""
    if devices and most > len(devices):
        raise InputError(f"gpus: expected at most {len(devices)}, those of this machine, found {most}; ask for fewer")
    if not devices and most > 1:
        raise InputError(f"gpus: expected 1 on a machine without GPUs, found {most}; leave it out")
