"""Ctrl-C and SIGTERM during fine-tuning: the iteration ends, a checkpoint is saved, and the run can go on from it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from detectron2.utils import comm

from transfer.errors import Interrupted

# A launcher passes on what the terminal or the queue sent to the whole group: the same wish, twice.
_ONE_WISH = 1.0  # seconds

log = logging.getLogger(__name__)


class Interrupt:
    """While its block runs, a signal raises ``Interrupted``; between ``deferred`` and its end it is only remembered.

    Attributes:
        signum: of the signal that came; 0 for none.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._deferred = False
        self._at = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        """Take over both signals; nothing outside the main thread, which Python gives them to."""
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._caught) for s in _SIGNALS}
        _HOLDERS.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Give them back."""
        self._give_back()
        _HOLDERS.remove(self)

    def _give_back(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _caught(self, signum: int, frame: FrameType | None) -> None:
        first, now = not self.signum, time.monotonic()
        self.signum = self.signum or signum
        if not first and now - self._at <= _ONE_WISH:
            return
        if first:
            self._at = now
        if not first or not self._deferred:
            raise Interrupted("interrupted", self.signum)
        log.info("%s: ending this iteration, then saving", signal.Signals(signum).name)

    @contextmanager
    def deferred(self, wait: bool = True) -> Iterator[None]:
        """Within the block a first signal is only remembered (``wait``), or raises at once (not ``wait``)."""
        before, self._deferred = self._deferred, wait
        try:
            if not wait and self.signum:
                raise Interrupted("interrupted", self.signum)
            yield
        finally:
            self._deferred = before

    def asked(self) -> int:
        """The signal that any process of the run has got, the same answer in all of them; 0 for none."""
        if comm.get_world_size() == 1:
            return self.signum
        return max(comm.all_gather(self.signum))


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HOLDERS: list[Interrupt] = []  # whose blocks run in this process, the outermost first
_MASK = threading.local()


def _before_fork() -> None:
    """Hold the signals back: one that came to the child before it gives them back would be lost."""
    _MASK.before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _in_parent() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _MASK.before)


def _in_child() -> None:
    """Give the signals back in a forked process: one that waits for a lock when a caught signal comes never sees it.

    A pool's workers, which end by SIGTERM, would live for ever, and whoever ends the pool would wait as long.
    """
    for holder in reversed(_HOLDERS):
        holder._give_back()
    _HOLDERS.clear()
    signal.pthread_sigmask(signal.SIG_SETMASK, _MASK.before)


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold both signals back until the block ends, and in processes forked within it until they call `ignore_signals`.

    For the start of loader processes: one that is ended before it ignores the signals ends the whole run.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals(worker: int = 0) -> None:
    """For processes that load images: they get what a terminal sends to all, and must outlive the iteration."""
    for signum in _SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
