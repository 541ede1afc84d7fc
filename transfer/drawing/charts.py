"""Charts as inline SVG: drawn for a phone's width, coloured by the page's style sheet, so that one chart serves light
and dark. Every chart says its unit, its n and what it was measured on in ``note``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from transfer.drawing.axes import Map, Scale, number

WIDTH = 380  # pixels: what a phone shows without shrinking the letters
_LETTER = 6.9  # mean width of a letter at the charts' font size, pixels
_ROW = 22
_DIGIT = 6.3  # width of a digit of the numbers beside the marks, pixels
LEAST_SHARE = 0.02  # of the largest value: an axis of curves is at least that long
UNCHANGED = 1e-3  # of the largest value: a curve that changes less has not changed
SERIES = 7  # colours in the style sheet; series beyond come round again, with another dash


@dataclass(frozen=True)
class Point:
    """One value in a row: which series it belongs to, its interval if any, single values behind it, a tooltip.

    ``text`` is the number, and its interval, as it stands at the end of the row.
    """

    series: int
    value: float
    low: float | None = None
    high: float | None = None
    single: tuple[float, ...] = ()
    tip: str = ""
    kind: str = ""  # a class of the style sheet, e.g. a verdict
    text: str = ""


@dataclass(frozen=True)
class ChartRow:
    """One line of a bar or dot chart."""

    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Line:
    """One curve: points (x, y), with an interval (low, high) for each where there is one."""

    series: int
    label: str
    points: tuple[tuple[float, float], ...]
    limits: tuple[tuple[float, float] | None, ...] = ()
    faint: bool = False
    dashed: bool = False


def dots(title: str, rows: Sequence[ChartRow], unit: str, zero: bool = False, least: float = 0.0) -> str:
    """Return rows of dots with intervals.

    ``zero`` draws the line that differences are seen against; the axis is ``least`` long at the least.
    """
    values = [v for row in rows for p in row.points for v in (p.value, p.low, p.high, *p.single) if v is not None]
    if zero:
        values.append(0.0)
    return _rows(title, rows, unit, Scale.around(values, least=least), zero, bars=False)


def bars(title: str, rows: Sequence[ChartRow], unit: str) -> str:
    """Return horizontal bars from 0, with intervals and a dot for each single value."""
    values = [0.0, *(v for r in rows for p in r.points for v in (p.value, p.high, *p.single) if v is not None)]
    return _rows(title, rows, unit, Scale.around(values, least=1.0), zero=False, bars=True)


def lines(
    title: str, curves: Sequence[Line], x_unit: str, y_unit: str, percent_x: bool = False, least: float = 0.0
) -> str:
    """Return curves.

    Args:
        title: said to those who cannot see it.
        curves: those without points are left out.
        x_unit: what the horizontal axis counts.
        y_unit: what the vertical axis counts.
        percent_x: spaces shares of the labels by their logarithm and marks each one.
        least: length of the vertical axis at the least; never less than LEAST_SHARE of the largest value.
    """
    curves = [curve for curve in curves if curve.points]
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    ys += [limit for curve in curves for pair in curve.limits if pair for limit in pair]
    y_scale = Scale.around(ys, least=max(least, LEAST_SHARE * max(map(abs, ys))))
    x_scale = Scale.log(xs) if percent_x else Scale.around(xs, pad=False)
    frame = _Frame(x_scale, y_scale, x_unit, y_unit)
    # Whiskers side by side: intervals at the same place would hide each other.
    aside = [5.0 * (i - (len(curves) - 1) / 2) if curve.limits else 0.0 for i, curve in enumerate(curves)]
    return frame.svg(title, [_curve(curve, frame.x, frame.y, by) for curve, by in zip(curves, aside, strict=True)])


def unchanged(curves: Sequence[Line]) -> bool:
    """Whether no curve changes by more than UNCHANGED of its largest value: a flat line, whatever its digits say."""
    values = [[y for _, y in curve.points] for curve in curves if len(curve.points) > 1]
    return bool(values) and all(max(ys) - min(ys) <= UNCHANGED * max(map(abs, ys)) for ys in values)


def histogram(title: str, edges: Sequence[float], counts: Sequence[int], x_unit: str, y_unit: str) -> str:
    """Return a histogram: one more edge than counts."""
    frame = _Frame(Scale.around(edges, pad=False), Scale.around([0.0, *map(float, counts)]), x_unit, y_unit)
    x, y = frame.x, frame.y
    parts = []
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        place = f'x="{x(low) + 0.5:.1f}" y="{y(count):.1f}"'
        size = f'width="{max(x(high) - x(low) - 1, 0.5):.1f}" height="{y(0) - y(count):.1f}"'
        tip = f"{number(low)} to {number(high)}: {count}"
        parts.append(f'<rect class="bar s1" {place} {size}><title>{tip}</title></rect>')
    return frame.svg(title, parts)


class _Frame:
    """Axes, grid and units around a plot; ``x`` and ``y`` map values to pixels."""

    top, bottom, right = 12, 200, WIDTH - 14

    def __init__(self, x: Scale, y: Scale, x_unit: str, y_unit: str) -> None:
        self.scales, self.units = (x, y), (x_unit, y_unit)
        self.left = 16 + max(len(text) for text in y.texts) * _LETTER
        self.x, self.y = x.onto(self.left, self.right), y.onto(self.bottom, self.top)

    def svg(self, title: str, parts: Sequence[str]) -> str:
        left, right, bottom = f"{self.left:.1f}", self.right, self.bottom
        out = []
        for tick, text in zip(self.scales[1].ticks, self.scales[1].texts, strict=True):
            y = self.y(tick)
            out.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            out.append(f'<text class="tick" x="{self.left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        for tick, text in zip(self.scales[0].ticks, self.scales[0].texts, strict=True):
            out.append(_tick(self.x(tick), bottom + 16, text))
        out += [f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>', *parts]
        for place, anchor, unit in ((right, "end", self.units[0]), (left, "start", f"↑ {self.units[1]}")):
            out.append(f'<text class="unit" x="{place}" y="{bottom + 33}" text-anchor="{anchor}">{escape(unit)}</text>')
        return _svg(title, bottom + 39, out)


def _tick(x: float, y: float, text: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{text}</text>'


def shortened(label: str, length: int) -> str:
    """A label in ``length`` letters: what stands behind " · " tells rows of one name apart, and is kept whole."""
    name, mark, rest = label.rpartition(" · ")
    return f"{(name or label)[: max(3, length - 1 - len(mark + rest) * bool(name))]}…{mark + rest if name else ''}"


def _rows(title: str, rows: Sequence[ChartRow], unit: str, scale: Scale, zero: bool, bars: bool) -> str:
    longest = max(len(row.label) for row in rows)
    left = min(152.0, 14.5 + longest * _LETTER)
    room = max(len(point.text) for row in rows for point in row.points) * _DIGIT
    right, top = WIDTH - 18 - (room - 6 if room else 0), 8
    roomy = min(max(_ROW, 150 // len(rows)), 2 * _ROW)  # few rows are drawn apart
    heights = [max(roomy, 13 * len(row.points) + 7) for row in rows]
    bottom = top + sum(heights)
    x = scale.onto(left, right)
    out = []
    for tick, text in zip(scale.ticks, scale.texts, strict=True):
        kind = "axis" if zero and abs(tick) < 1e-12 else "grid"
        out.append(f'<line class="{kind}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{bottom}"/>')
        out.append(_tick(x(tick), bottom + 15, text))
    y = float(top)
    for row, height in zip(rows, heights, strict=True):
        middle = y + height / 2
        shown = row.label
        if len(row.label) * _LETTER + 14 > left + 1:
            shown = shortened(row.label, int((left - 20) / _LETTER))
        out.append(
            f'<text class="row" x="{left - 8:.0f}" y="{middle + 4:.1f}" text-anchor="end">{escape(shown)}'
            f"<title>{escape(row.label)}</title></text>"
        )
        for i, point in enumerate(row.points):
            at = middle + (i - (len(row.points) - 1) / 2) * 13
            out.append(_point(point, x, at, bars))
            if point.text:
                text = escape(point.text)
                out.append(f'<text class="value" x="{WIDTH - 4}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
        y += height
    out.append(f'<text class="unit" x="{right}" y="{bottom + 31}" text-anchor="end">{escape(unit)}</text>')
    numbers = "; ".join(f"{row.label} {point.text}" for row in rows for point in row.points if point.text)
    return _svg(f"{title}: {numbers}" if numbers else title, int(bottom + 37), out)


def _point(point: Point, x: Map, y: float, bars: bool) -> str:
    kind = point.kind or colour(point.series)
    parts = []
    if bars:
        place = f'x="{x(0):.1f}" y="{y - 5:.1f}" width="{x(point.value) - x(0):.1f}" height="10" rx="1.5"'
        parts.append(f'<rect class="bar {kind}" {place}/>')
    if point.low is not None and point.high is not None:
        parts.append(_whisker("" if bars else kind, (x(point.low), y), (x(point.high), y)))
    parts += [f'<circle class="seed" cx="{x(value):.1f}" cy="{y}" r="2.2"/>' for value in point.single]
    if not bars:
        parts.append(_mark(point.series, x(point.value), y, kind))
    return f"<g>{''.join(parts)}<title>{escape(point.tip)}</title></g>"


def _whisker(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    place = f'x1="{start[0]:.1f}" x2="{end[0]:.1f}" y1="{start[1]:.1f}" y2="{end[1]:.1f}"'
    return f'<line class="whisker {kind}" {place}/>'


def _mark(series: int, x: float, y: float, kind: str) -> str:
    """Return the series' own shape: told apart without colours."""
    r = 4.2
    shape = series % 4
    if shape == 0:
        return f'<circle class="mark {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>'
    corners = {1: ((-r, -r), (r, -r), (r, r), (-r, r)), 2: ((0, -r - 1), (r + 1, r), (-r - 1, r)),
               3: ((0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0))}[shape]  # fmt: skip
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon class="mark {kind}" points="{points}"/>'


def _curve(curve: Line, x: Map, y: Map, aside: float) -> str:
    kind = colour(curve.series)
    places = [(x(a) + aside, y(b)) for a, b in curve.points]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    parts = [f'<polyline class="curve {kind}{" faint" * curve.faint}{" dashed" * curve.dashed}" points="{points}"/>']
    for (a, _), limits in zip(places, curve.limits, strict=False):
        if limits:
            parts.append(_whisker(kind, (a, y(limits[0])), (a, y(limits[1]))))
    if len(places) <= 6 and not curve.faint and not curve.dashed:
        parts += [_mark(curve.series, a, b, kind) for a, b in places]
    return f"<g>{''.join(parts)}<title>{escape(curve.label)}</title></g>"


def colour(series: int) -> str:
    """Return the style sheet's class for a series; 0 is the baseline's grey."""
    return f"s{series}" if series < SERIES else f"s{1 + (series - 1) % (SERIES - 1)} again"


def mark(series: int) -> str:
    """Return a series' mark alone, for a legend."""
    return f'<svg class="key" viewBox="0 0 22 12" aria-hidden="true">{_mark(series, 11, 6, colour(series))}</svg>'


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )
