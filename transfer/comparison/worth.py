"""What a start is worth in labelled images: how many the baseline needs for the AP that this start has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from transfer.comparison.compare import Difference, Side, side_difference

MORE, FEWER = "more", "fewer"
_GRID = 8  # points looked at between two measured numbers of labels
_HALVINGS = 14


@dataclass(frozen=True)
class Worth:
    """A number of labelled images, of the baseline.

    Attributes:
        labels: with this many the baseline has the same AP; null where that is beyond what was measured.
        beyond: MORE or FEWER than were measured, where ``labels`` is null; else "".
        interval: at 95 %; a null end is beyond what was measured; null as a whole when neither seeds nor images give
            one.
        basis: what the interval is over, as in ``compare.Difference``.
    """

    labels: float | None
    beyond: str = ""
    interval: tuple[float | None, float | None] | None = None
    basis: str = ""


def worth(ours: Side, baseline: Mapping[int, Side], paired: bool, images: int) -> Worth:
    """How many labels the baseline needs for the AP of ``ours``.

    Between two measured numbers of labels the baseline's AP is taken to be linear in their logarithm. The interval
    holds every number at which ``ours`` minus the baseline cannot be told from zero, by the report's own interval for
    differences (Fieller's way, 1954, for the place where a line crosses a value). So it covers as that one does, and
    has open ends where the measured numbers of labels do not decide it. Where the curve is not rising, the first
    crossing counts, and the interval is the shortest that holds all such numbers.

    Args:
        ours: the start's AP at one number of labels.
        baseline: number of labels -> the baseline's AP with so many, the same seeds at each; at least one.
        paired: whether ``ours`` has the baseline's seeds.
        images: how many were measured on.
    """
    curve = _Curve(ours, [(n, baseline[n]) for n in sorted(baseline)], paired, images)
    gaps = [side.values.mean() - ours.values.mean() for _, side in curve.points]  # of the baseline above ours
    crossing = next((i for i, gap in enumerate(gaps) if gap >= 0), None)
    at: float | None
    if crossing is None or (crossing == 0 and gaps[0] > 0):
        at, beyond = None, MORE if crossing is None else FEWER
    else:
        at = crossing - (0.0 if gaps[crossing] == 0 else gaps[crossing] / (gaps[crossing] - gaps[crossing - 1]))
        beyond = ""
    first = curve.difference(0.0)
    if first.interval is None:
        return Worth(None if at is None else curve.labels(at), beyond)
    return Worth(None if at is None else curve.labels(at), beyond, _interval(curve, gaps), first.basis)


@dataclass(frozen=True)
class _Curve:
    """The baseline's AP over its labels, a place on it being a point's number and a share of the way to the next."""

    ours: Side
    points: list[tuple[int, Side]]
    paired: bool
    images: int

    @property
    def end(self) -> float:
        return float(len(self.points) - 1)

    def labels(self, at: float) -> float:
        low, share = self._split(at)
        if not share:
            return float(self.points[low][0])
        before, after = self.points[low][0], self.points[low + 1][0]
        return math.exp((1 - share) * math.log(before) + share * math.log(after))

    def difference(self, at: float) -> Difference:
        low, share = self._split(at)
        side = self.points[low][1]
        if share:
            after = self.points[low + 1][1]
            resampled = None
            if side.resampled is not None and after.resampled is not None:
                resampled = (1 - share) * side.resampled + share * after.resampled
            side = Side((1 - share) * side.values + share * after.values, resampled)
        return side_difference(self.ours, side, self.paired, self.images)

    def holds(self, at: float) -> bool:
        """Whether the AP there cannot be told from ours."""
        interval = self.difference(at).interval
        return interval is not None and interval[0] <= 0 <= interval[1]

    def _split(self, at: float) -> tuple[int, float]:
        low = min(int(at), max(0, len(self.points) - 2))
        return low, at - low


def _interval(curve: _Curve, gaps: list[float]) -> tuple[float | None, float | None]:
    crossings = [i + gaps[i] / (gaps[i] - gaps[i + 1]) for i in range(len(gaps) - 1) if gaps[i] * gaps[i + 1] < 0]
    grid = sorted({*(i / _GRID for i in range(int(curve.end) * _GRID + 1)), *crossings})
    inside = [at for at in grid if curve.holds(at)]
    if not inside:  # no number of labels that was measured: all are too few, or all too many
        return (curve.labels(curve.end), None) if gaps[-1] < 0 else (None, curve.labels(0.0))
    low, high = inside[0], inside[-1]
    before, after = grid[max(0, grid.index(low) - 1)], grid[min(len(grid) - 1, grid.index(high) + 1)]
    return (
        None if low == 0 else curve.labels(_edge(curve, low, before)),
        None if high == curve.end else curve.labels(_edge(curve, high, after)),
    )


def _edge(curve: _Curve, inside: float, outside: float) -> float:
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if curve.holds(middle) else (inside, middle)
    return inside
