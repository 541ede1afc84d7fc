"""Axes of charts: round ticks around values, their text, and where a value lies in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """An axis: its ends, its ticks, and whether it counts by factors."""

    low: float
    high: float
    ticks: tuple[float, ...]
    factors: bool = False

    @property
    def texts(self) -> list[str]:
        """The ticks as text, with as many digits as tell them apart."""
        if self.factors or len(self.ticks) < 2:
            return [number(tick) for tick in self.ticks]
        digits = max(0, -math.floor(math.log10(self.ticks[1] - self.ticks[0]) + 1e-9))
        texts = [f"{tick:.{digits}f}" for tick in self.ticks]
        if self.ticks[-1] >= 10000:
            texts = [number(tick) for tick in self.ticks]
        return [text.replace("-", "−") for text in texts]

    @staticmethod
    def around(values: Sequence[float], pad: bool = True, least: float = 0.0) -> Scale:
        """Return an axis with round ticks that holds all values.

        Args:
            values: at least one.
            pad: the ends are ticks too.
            least: length of the axis at the least, so that it does not magnify a change that means nothing.
        """
        low, high = min(values), max(values)
        if low == high and not least:
            least = abs(low) / 5 or 2.0
        if high - low < least:
            low, high = (low + high - least) / 2, (low + high + least) / 2
            if low < 0 <= min(values):  # what cannot be negative does not seem so
                low, high = 0.0, least
        step = _step((high - low) / 4)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if pad:
            return Scale(first * step, last * step, tuple(i * step for i in range(first, last + 1)))
        inside = [i * step for i in range(first, last + 1) if low - 1e-9 <= i * step <= high + 1e-9]
        return Scale(low, high, tuple(inside))

    @staticmethod
    def log(values: Sequence[float]) -> Scale:
        """Return an axis by factors with a tick at every value."""
        ticks = tuple(sorted(set(values)))
        low, high = (ticks[0], ticks[-1]) if len(ticks) > 1 else (ticks[0] / 2, ticks[0] * 2)
        room = (high / low) ** 0.06
        return Scale(low / room, high * room, ticks, factors=True)

    def onto(self, start: float, end: float) -> Map:
        """Return the map from values to pixels."""
        return Map(self, start, end)


@dataclass(frozen=True)
class Map:
    """Values of an axis to pixels, from ``start`` to ``end``."""

    scale: Scale
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where ``value`` lies."""
        low, high = self.scale.low, self.scale.high
        if self.scale.factors:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def number(value: float) -> str:
    """Return a value with four digits; from 10000 on in thousands, k."""
    if value == 0:
        return "0"
    if abs(value) >= 10000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}".replace("-", "−")
