"""Objects painted with matplotlib, through its object API and without a display, the same in every picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray
from PIL import Image

from transfer.drawing import layout
from transfer.drawing.layout import FONT, PALETTE, Shape

MONO = "DejaVu Sans Mono"
DIMMED = 0.45  # opacity of what did not reach the limit
_DPI = 100


class Canvas:
    """A transparent sheet of ``width`` times ``height`` pixels, to be laid over an image."""

    def __init__(self, width: int, height: int) -> None:
        """Make an empty sheet."""
        self.width, self.height = width, height
        self._figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
        self._figure.patch.set_alpha(0)
        FigureCanvasAgg(self._figure)

    point = 72 / _DPI  # points of type in a pixel

    def part(self, x: int, y: int, width: int, height: int) -> Axes:
        """Return axes over a part of the sheet, in its pixels from the upper left corner; nothing leaves it."""
        frame = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        axes = self._figure.add_axes(frame, xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        return axes

    def over(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (height, width, 3) pixels with the sheet on top; where nothing is drawn they stay as they are."""
        self._figure.canvas.draw()
        sheet = Image.fromarray(np.asarray(self._figure.canvas.buffer_rgba()))  # type: ignore[attr-defined]
        below = Image.fromarray(pixels).convert("RGBA")
        return np.asarray(Image.alpha_composite(below, sheet).convert("RGB"))


def draw_shapes(axes: Axes, shapes: Sequence[Shape], point: float, unit: float, opacity: float = 1.0) -> None:
    """Paint masks, boxes and then labels.

    Args:
        axes: in the picture's pixels.
        shapes: the best last.
        point: points of type in one of these pixels.
        unit: pixels that count as one in the widths of lines.
        opacity: of everything, 0-1.
    """
    for shape in shapes:
        _draw_shape(axes, shape, point * unit, opacity)
    for shape in shapes:
        _draw_label(axes, shape, point, opacity)


def _draw_shape(axes: Axes, shape: Shape, point: float, opacity: float) -> None:
    """Paint mask and box as the page's style sheet does."""
    colour = PALETTE[shape.colour]
    halo = {"fill": False, "edgecolor": "black", "alpha": 0.6 * opacity, "linewidth": 4.6 * point}
    if shape.outline:
        path = Path.make_compound_path(*(Path(np.vstack([p, p[:1]]), closed=True) for p in shape.outline))
        how = {"joinstyle": "round", "capstyle": "round"}
        axes.add_patch(PathPatch(path, **halo, **how))
        axes.add_patch(PathPatch(path, facecolor=colour, edgecolor="none", alpha=0.34 * opacity))
        axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, linewidth=2.6 * point, alpha=opacity, **how))
        edge = {"linewidth": point, "alpha": 0.75 * opacity, "linestyle": (0, (4, 3))}
    else:
        axes.add_patch(_rectangle(shape.box, **halo))
        edge = {"linewidth": 2.4 * point, "alpha": opacity}
    axes.add_patch(_rectangle(shape.box, fill=False, edgecolor=colour, **edge))


def _rectangle(box: layout.Box, **how: object) -> Rectangle:
    return Rectangle(box[:2], *box[2:], **how)  # type: ignore[arg-type]


def _draw_label(axes: Axes, shape: Shape, point: float, opacity: float) -> None:
    how = {"ground": PALETTE[shape.colour], "ink": layout.ink(shape.colour)}
    draw_text(axes, shape.text, shape.label, point, opacity=max(opacity, 0.7), **how)


def draw_text(
    axes: Axes, text: str, box: layout.Box, point: float, *, ground: str, ink: str, opacity: float = 1.0
) -> None:
    """Write a line of text on a ground of its own: ``box`` is x, y, width, height in pixels."""
    x, y, width, height = box
    patch = FancyBboxPatch((x, y), width, height, boxstyle=f"round,pad=0,rounding_size={height / 10}", edgecolor="none")
    patch.set(facecolor=ground, alpha=opacity)
    axes.add_patch(patch)
    axes.text(
        x + height * 0.16, y + height * 0.76, text, color=ink, fontfamily=MONO, fontweight="bold",
        fontsize=height * FONT * point, clip_on=True, parse_math=False,
    )  # fmt: skip


def draw_note(axes: Axes, text: str, box: layout.Box, point: float) -> None:
    """Write what a picture itself has to say, light on dark."""
    draw_text(axes, text, box, point, ground="#16191d", ink="#ffffff", opacity=0.8)
