"""Images with objects in rows and columns, as one PNG."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from transfer.drawing import layout, painting
from transfer.drawing.layout import PALETTE
from transfer.drawing.selection import Selection

CELL = 2.5  # inches
DPI = 120
TALLEST = 1.5  # times the cell's width
MOST_CLASSES = 20  # in a legend
_MARGIN, _GAP, _LINE = 0.1, 0.075, 0.2  # inches; the last is a line of text
_LETTER = 0.085  # inches, mean width of a letter at 9 points


@dataclass(frozen=True)
class GridRow:
    """One image: its name, pixels (H, W, 3) uint8, and for every column what to draw."""

    name: str
    image: NDArray[np.uint8]
    columns: list[Selection]


def detections_png(
    rows: list[GridRow], titles: list[str], classes: list[str], caption: str, cell: float = CELL
) -> bytes:
    """Return a PNG: one row per image, one column per entry of ``titles``; nothing is written over the images.

    Args:
        rows: at least one; each with as many columns as there are titles.
        titles: what is drawn in each column.
        classes: decide the colours: the same class has the same colour in every cell.
        caption: stands below, broken into lines by the caller.
        cell: width of an image, in inches of DPI pixels.
    """
    width = 2 * _MARGIN + len(titles) * (cell + _GAP) - _GAP
    legend = _legend_lines(classes, width) if len(classes) <= MOST_CLASSES else []
    wrapped = [textwrap.wrap(title, max(8, int(cell / _LETTER))) for title in titles]
    head = _LINE * (len(legend) + max(map(len, wrapped)))
    heights = [cell * min(row.image.shape[0] / row.image.shape[1], TALLEST) for row in rows]
    height = 2 * _MARGIN + head + sum(_LINE + h + _GAP for h in heights) + _LINE * (caption.count("\n") + 1)
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    page.axis("off")
    _draw_legend(page, legend, layout.colours(classes))
    for i, title in enumerate(wrapped):
        at = _MARGIN + i * (cell + _GAP)
        for j, line in enumerate(reversed(title)):
            page.text(at, _MARGIN + head - 0.07 - j * 0.15, line, fontsize=9, va="baseline")
    y = _MARGIN + head
    for row, tall in zip(rows, heights, strict=True):
        page.text(_MARGIN, y + _LINE - 0.06, row.name, fontsize=7.5, va="baseline", color="#59626d")
        y += _LINE
        for i, choice in enumerate(row.columns):
            frame = (_MARGIN + i * (cell + _GAP)) / width, 1 - (y + tall) / height, cell / width, tall / height
            _draw(figure.add_axes(frame, anchor="NW"), row.image, choice, layout.colours(classes), cell)
        y += tall + _GAP
    page.text(_MARGIN, height - _MARGIN, caption, fontsize=8, va="bottom")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _legend_lines(classes: list[str], width: float) -> list[list[tuple[float, str]]]:
    """Return lines of (x in inches, class), broken where the picture ends."""
    lines: list[list[tuple[float, str]]] = [[]]
    x = _MARGIN
    for name in classes:
        length = 0.35 + _LETTER * len(name)
        if lines[-1] and x + length > width:
            lines.append([])
            x = _MARGIN
        lines[-1].append((x, name))
        x += length
    return lines


def _draw_legend(page: Axes, lines: list[list[tuple[float, str]]], colours: dict[str, int]) -> None:
    for i, line in enumerate(lines):
        y = _MARGIN + _LINE * i
        for x, name in line:
            page.add_patch(Rectangle((x, y + 0.01), 0.13, 0.11, facecolor=PALETTE[colours[name]]))
            page.text(x + 0.18, y + 0.065, name, fontsize=8, va="center_baseline")


def _draw(axes: Axes, image: NDArray[np.uint8], choice: Selection, colours: dict[str, int], cell: float) -> None:
    by = layout.scale(*image.shape[:2])
    width, height = (max(1, round(by * side)) for side in image.shape[1::-1])
    # extent: pixel i covers i to i + 1, as COCO counts, so that boxes and masks lie where they belong
    axes.imshow(image, extent=(0, width, height, 0), interpolation="bilinear")
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    shown = cell * min(1.0, TALLEST * width / height)  # inches: a very tall image is narrower than its cell
    point = shown * 72 / width  # of type and lines, in the picture's pixels
    thinner = min(1.0, CELL / cell)  # labels and lines keep their size where images are larger
    line = thinner * layout.thumbnail_line(width, height)
    shapes = layout.lay_out(choice.drawn, colours, by, width, height, line)
    painting.draw_shapes(axes, shapes, point, thinner, painting.DIMMED if choice.dimmed else 1.0)
    if choice.note:
        length = layout.LETTER / layout.LINE * len(choice.note) + 0.32
        line = min(line, width / length)
        painting.draw_note(axes, choice.note, (0.0, height - line, line * length, line), point)
