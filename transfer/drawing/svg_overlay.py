"""Objects over an image as SVG, sharp at every size and light enough for a page with dozens of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transfer.drawing import layout
from transfer.drawing.layout import FONT, PALETTE, Box, Shape
from transfer.evaluation.instances import Instance

QUALITY = 75


@dataclass(frozen=True)
class Picture:
    """An image for the page: its data URI, its size there, and how many of its pixels an image pixel takes."""

    uri: str
    width: int
    height: int
    scale: float


def picture(pixels: NDArray[np.uint8]) -> Picture:
    """Return (H, W, 3) pixels as a JPEG of at most ``layout.LONGEST`` pixels; small images are enlarged, smoothly.

    A dozen of them must leave a page below 5 MB; small ones keep their detail, for they are seen enlarged.
    """
    height, width = pixels.shape[:2]
    scale = layout.scale(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    # An image that the browser enlarges as well as we could is sent as it is.
    if scale < 1:
        image = image.resize(size, Image.Resampling.LANCZOS)
    image.save(buffer, "JPEG", quality=QUALITY if scale <= 1 else 92, subsampling=2 if scale <= 1 else 0)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(uri, *size, scale)


def style() -> str:
    """Return the style sheet's colours of classes: ``c0`` and so on, and the ink of labels on them."""
    rules = [f".c{i} {{ color: {colour}; }}" for i, colour in enumerate(PALETTE)]
    rules += [f".photo .label.c{i} text {{ fill: {layout.ink(i)}; }}" for i in range(len(PALETTE))]
    return "\n".join(rules)


def overlay(
    instances: Sequence[Instance], colours: dict[str, int], place: Picture, attributes: Sequence[str] | None = None
) -> str:
    """Return masks, boxes and labels as SVG elements in the page's pixels, best score on top.

    Args:
        instances: of one image.
        colours: class -> number of its colour in the style sheet.
        place: the image in the page.
        attributes: of each instance's elements, from a space on, for the page's script and style sheet.
    """
    own = [""] * len(instances) if attributes is None else attributes
    shapes = layout.lay_out(instances, colours, place.scale, place.width, place.height)
    drawn = "".join(f"<g{own[shape.index]}>{_shape(shape)}</g>" for shape in shapes)
    labels = "".join(f"<g{own[shape.index]}>{_label(shape)}</g>" for shape in shapes)
    return f'<g class="shapes">{drawn}</g><g class="labels">{labels}</g>'


def _shape(shape: Shape) -> str:
    kind = f"c{shape.colour}"
    path = "".join(map(_outline, shape.outline))
    mask = f'<path class="halo" d="{path}"/><path class="mask {kind}" d="{path}"/>' if path else ""
    box = f'<rect class="box {kind}{"" if path else " alone"}" {_place(shape.box)}/>'
    return f"{mask}{box}<title>{escape(shape.text)}</title>"


def _outline(polygon: NDArray[np.float32]) -> str:
    """Return a closed path in whole pixels, each point relative to the one before: a third of the letters."""
    points = np.round(polygon).astype(int)
    steps = np.diff(points, axis=0)
    steps = steps[steps.any(axis=1)]
    return f"M{points[0, 0]},{points[0, 1]}l" + " ".join(f"{x},{y}" for x, y in steps) + "z" if len(steps) else ""


def _label(shape: Shape) -> str:
    x, y, _, height = shape.label
    at = f'x="{x + height * 0.16:.1f}" y="{y + height * 0.76:.1f}" font-size="{height * FONT:.1f}"'
    ground = f'<rect {_place(shape.label)} rx="2"/>'
    return f'<g class="label c{shape.colour}">{ground}<text {at}>{escape(shape.text)}</text></g>'


def _place(box: Box) -> str:
    x, y, width, height = box
    return f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
