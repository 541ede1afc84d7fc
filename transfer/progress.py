"""One line on the terminal that says how far a long piece of work is, and how long it still takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

SILENT = 3.0  # seconds in which nothing is said: most work is done by then
EVERY = 0.5  # seconds between two lines


class Progress:
    """How far the work of a ``with`` block is; where stderr is no terminal, nothing is said."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        """Begin now.

        Args:
            what: is being done.
            total: how many of ``unit`` there are.
            unit: in the plural.
        """
        self._what, self._total, self._unit = what, total, unit
        self._done, self._start, self._said = 0.0, time.monotonic(), 0.0

    def add(self, share: float) -> None:
        """Say that ``share`` of a unit more is done."""
        self._done += share
        now = time.monotonic()
        if now - self._start < SILENT or now - self._said < EVERY or not sys.stderr.isatty():
            return
        self._said = now
        left = (now - self._start) / self._done * (self._total - self._done)
        done = f"{self._done:.1f}".removesuffix(".0")
        text = f"{self._what}: {done} of {self._total} {self._unit}, {left:.0f} s left"
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def part(self, whole: float) -> Callable[[float], None]:
        """Return what adds shares of ``whole`` units."""
        return lambda share: self.add(whole * share)

    def __enter__(self) -> Progress:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away, before anything else is said."""
        if self._said:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
