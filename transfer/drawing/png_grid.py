"""What a run saw, as a picture: the only file that imports matplotlib, through its object API, without a display."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from transfer.evaluation.instances import Instance

# Okabe and Ito, "Color Universal Design" (2008): told apart with every common colour blindness. Their black is left
# out, for it vanishes on photographs. With more classes the colours come round again, and the names tell.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
CELL = 2.5  # inches
DPI = 100


@dataclass(frozen=True)
class Row:
    """One image: its name, pixels (H, W, 3) uint8, and for every column the objects to draw."""

    name: str
    image: NDArray[np.uint8]
    columns: list[list[Instance]]


def detections_png(rows: list[Row], titles: list[str], classes: list[str], caption: str, cell: float = CELL) -> bytes:
    """Return a PNG: one row per image, one column per entry of ``titles``.

    Args:
        rows: at least one; each with as many columns as there are titles.
        titles: what is drawn in each column.
        classes: decide the colours: the same class has the same colour in every cell.
        caption: stands below, broken into lines by the caller.
        cell: width and height of an image, in inches of DPI pixels.
    """
    lines = caption.count("\n") + 1
    head, foot = 0.6, 0.1 + 0.2 * lines  # inches
    width, height = cell * len(titles), cell * len(rows) + head + foot
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(classes)}
    grid = figure.subplots(len(rows), len(titles), squeeze=False)
    figure.subplots_adjust(0.01, foot / height, 0.99, 1 - head / height, wspace=0.03, hspace=0.03)
    for axes_row, row in zip(grid, rows, strict=True):
        for axes, instances in zip(axes_row, row.columns, strict=True):
            _draw(axes, row.image, instances, colours)
        axes_row[0].text(0.02, 0.02, row.name, transform=axes_row[0].transAxes, color="white", **_label("black"))
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    if len(classes) <= 3 * len(titles):
        handles = [Patch(color=colours[name], label=name) for name in classes]
        figure.legend(handles=handles, loc="upper center", ncols=len(classes), fontsize=9, frameon=False)
    figure.text(0.01, 0.08 / height, caption, fontsize=8, va="bottom")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Axes, image: NDArray[np.uint8], instances: list[Instance], colours: dict[str, str]) -> None:
    height, width = image.shape[:2]
    # extent: pixel i covers i to i + 1, as COCO counts, so that boxes and masks lie where they belong
    axes.imshow(image, extent=(0, width, height, 0), interpolation="bilinear")
    if not instances:
        axes.text(0.5, 0.5, "nothing", transform=axes.transAxes, ha="center", color="white", **_label("black"))
    places = _label_places(instances, width, height)
    for instance, (x, y) in sorted(zip(instances, places, strict=True), key=lambda pair: pair[0].score or 0):
        colour = colours[instance.label]
        if instance.mask is not None:
            _draw_mask(axes, instance.mask, colour)
            _draw_box(axes, instance, colour, linewidth=0.8, linestyle=(0, (3, 2)))
        else:
            _draw_box(axes, instance, "black", linewidth=2.8)
            _draw_box(axes, instance, colour, linewidth=1.5)
        axes.text(x, y, _text(instance), va="top", color=_ink_on(colour), zorder=5, **_label(colour))
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])


def _draw_box(axes: Axes, instance: Instance, colour: str, **how: Any) -> None:
    axes.add_patch(Rectangle(instance.box[:2], *instance.box[2:], fill=False, edgecolor=colour, **how))


def _draw_mask(axes: Axes, mask: NDArray[np.bool_], colour: str) -> None:
    if not mask.any():
        return
    height, width = mask.shape
    fill = np.zeros((height, width, 4))
    fill[mask] = [*_rgb(colour), 0.5]
    axes.imshow(fill, extent=(0, width, height, 0), interpolation="nearest")
    # A frame of zeros closes the contour at the image's border; pixel centres lie at half coordinates.
    framed = np.pad(mask.astype(float), 1)
    x, y = np.arange(-1, width + 1) + 0.5, np.arange(-1, height + 1) + 0.5
    axes.contour(x, y, framed, levels=[0.5], colors="black", linewidths=3)  # seen on any ground
    axes.contour(x, y, framed, levels=[0.5], colors=colour, linewidths=1.7)


def _text(instance: Instance) -> str:
    return instance.label if instance.score is None else f"{instance.label} {instance.score:.2f}"


def _label_places(instances: list[Instance], width: int, height: int) -> list[tuple[float, float]]:
    """Return each label's upper left corner: above its box, moved down past labels that are in the way."""
    line, letter = 0.075 * height, 0.032 * width  # of a label in a cell of this size, in image pixels
    taken: list[tuple[float, float, float]] = []
    for instance in instances:
        length = letter * len(_text(instance))
        x = min(max(instance.box[0], 0.01 * width), max(width - length, 0))
        y = min(max(instance.box[1] - line, 0.01 * height), height - line)
        while any(abs(y - b) < line and x < a + n and a < x + length for a, b, n in taken) and y < height - line:
            y += line / 4
        taken.append((x, y, length))
    return [(x, y) for x, y, _ in taken]


def _label(colour: str) -> dict[str, Any]:
    box = {"facecolor": colour, "alpha": 0.85, "edgecolor": "none", "pad": 1.2}
    return {"fontsize": 7.5, "bbox": box, "clip_on": True}


def _rgb(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def _ink_on(colour: str) -> str:
    red, green, blue = _rgb(colour)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.45 else "white"
