"""Objects over an image as SVG, sharp at every size and light enough for a page with dozens of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import contourpy
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transfer.evaluation.instances import Instance

LONGEST = 480  # pixels of an image's longer side in the page
QUALITY = 82
_TOLERANCE = 0.45  # pixels in the page that a simplified contour may be off


@dataclass(frozen=True)
class Picture:
    """An image for the page: its data URI, its size there, and how many of its pixels an image pixel takes."""

    uri: str
    width: int
    height: int
    scale: float


def picture(pixels: NDArray[np.uint8]) -> Picture:
    """Return (H, W, 3) pixels as a JPEG of at most LONGEST pixels; small images are enlarged, smoothly."""
    height, width = pixels.shape[:2]
    scale = min(LONGEST / max(height, width), 4.0)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    buffer = io.BytesIO()
    shown = Image.fromarray(pixels)
    # An image that the browser enlarges as well as we could is sent as it is.
    if scale < 1:
        shown = shown.resize(size, Image.Resampling.LANCZOS)
    shown.save(buffer, "JPEG", quality=QUALITY if scale < 1 else 92, subsampling=0 if scale >= 1 else 2)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(uri, *size, scale)


def overlay(instances: Sequence[Instance], colours: dict[str, int], scale: float, width: int) -> str:
    """Return masks, boxes and labels as SVG elements in the page's pixels, best score on top.

    Args:
        instances: of one image.
        colours: class -> number of its colour in the style sheet.
        scale: page pixels for one image pixel.
        width: of the picture, in page pixels.
    """
    shapes, labels = [], []
    taken: list[tuple[float, float, float]] = []
    for one in sorted(instances, key=lambda i: i.score or 0):
        kind = f"c{colours[one.label]}"
        x, y, w, h = (scale * v for v in one.box)
        text = one.label if one.score is None else f"{one.label} {one.score:.2f}"
        path = "" if one.mask is None else outline(one.mask, scale)
        mask = f'<path class="halo" d="{path}"/><path class="mask {kind}" d="{path}"/>' if path else ""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
        box = f'<rect class="box {kind}{"" if path else " alone"}" {place}/>'
        shapes.append(f"<g>{mask}{box}<title>{escape(text)}</title></g>")
        labels.append(_label(text, kind, x, y, width, taken))
    return f'<g class="shapes">{"".join(shapes)}</g><g class="labels">{"".join(labels)}</g>'


def outline(mask: NDArray[np.bool_], scale: float) -> str:
    """Return a mask's outline as SVG path data; "" for an empty mask.

    The frame of zeros closes it at the image's border, and pixel centres lie at half coordinates, as COCO counts.
    """
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys):
        return ""
    part = np.pad(mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].astype(float), 1)
    contours = contourpy.contour_generator(z=part, line_type=contourpy.LineType.Separate).lines(0.5)
    corner = np.array([xs[0] - 0.5, ys[0] - 0.5])
    parts = []
    for contour in contours:
        points = ((np.asarray(contour) + corner) * scale).astype(np.float32)
        points = cv2.approxPolyDP(points[:, None, :], _TOLERANCE, True)[:, 0, :]
        parts.append("M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in points) + "Z")
    return "".join(parts)


def _label(text: str, kind: str, x: float, y: float, width: int, taken: list[tuple[float, float, float]]) -> str:
    """Return a label above its box, moved down past labels that are in the way."""
    line, length = width * 0.062, width * 0.034 * len(text) + width * 0.02
    left = min(max(x, 1.0), max(width - length, 1.0))
    top = max(y - line, 1.0)
    for _ in range(12):
        if not any(abs(top - b) < line and left < a + n and a < left + length for a, b, n in taken):
            break
        top += line / 2
    taken.append((left, top, length))
    box = f'<rect x="{left:.1f}" y="{top:.1f}" width="{length:.1f}" height="{line:.1f}" rx="2"/>'
    place = f'x="{left + width * 0.01:.1f}" y="{top + line * 0.76:.1f}" font-size="{line * 0.8:.1f}"'
    return f'<g class="label {kind}">{box}<text {place}>{escape(text)}</text></g>'
