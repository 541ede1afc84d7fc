"""The built-in ``map`` in several processes."""

from __future__ import annotations

import functools
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from transfer.errors import InputError

CHUNK = 16  # pieces of work sent at a time


@contextmanager
def processes(count: int) -> Iterator[Callable[..., Any]]:
    """Give a ``map``: in ``count`` processes, or in this one where that is 1; results come in order.

    Raises:
        InputError: ``count`` is below 1, or a process was killed.
    """
    if count < 1:
        raise InputError(f"--workers: expected 1 or more, found {count}; change it")
    if count == 1:
        yield map
        return
    # Spawned: forking is not safe beside the threads that numpy and OpenCV start.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _leave_interrupts_alone)
    try:
        yield functools.partial(pool.map, chunksize=CHUNK)
    except BrokenProcessPool:
        raise InputError("a process was killed: expected memory for all; try again with --workers 1") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_alone() -> None:
    """A terminal sends them to every process; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
