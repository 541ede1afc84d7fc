"""Polygons and run-length codes: drawn, clipped, merged and measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from transfer.importing.objects import Polygon

Code = dict[str, Any]
_OFF = 0.1  # pixels by which a circle's polygon may leave the circle


def rectangle(left: float, top: float, right: float, bottom: float) -> Polygon:
    """Return the four corners, clockwise on the screen."""
    return [left, top, right, top, right, bottom, left, bottom]


def circle(x: float, y: float, radius: float) -> Polygon:
    """Return a regular polygon inscribed in a circle, nowhere further than a tenth of a pixel from it."""
    corners = 12 if radius <= 1 else max(12, math.ceil(math.pi / math.acos(1 - _OFF / radius)))
    angles = (2 * math.pi * k / corners for k in range(corners))
    return [value for a in angles for value in (x + radius * math.cos(a), y + radius * math.sin(a))]


def surface(polygon: Polygon) -> float:
    """Return what a polygon encloses, in square pixels, by the shoelace formula."""
    x, y = np.array(polygon[::2]), np.array(polygon[1::2])
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def excess(numbers: Polygon, width: int, height: int) -> float:
    """Return by how many pixels the furthest of the points x1, y1, x2, y2, ... lies outside the image, at least 0."""
    x, y = numbers[::2], numbers[1::2]
    return max(0.0, -min(x), -min(y), max(x) - width, max(y) - height)


def clip(polygon: Polygon, width: int, height: int) -> Polygon:
    """Return the part of a polygon inside the image (Sutherland and Hodgman, 1974); [] where there is none.

    A concave polygon that leaves the image twice stays one polygon, joined along the border, where nothing is filled.
    """
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    for axis, bound, sign in ((0, 0.0, 1), (0, float(width), -1), (1, 0.0, 1), (1, float(height), -1)):
        points = _clip_at(points, axis, bound, sign)
    return [value for point in points for value in point]


def _clip_at(points: list[tuple[float, float]], axis: int, bound: float, sign: int) -> list[tuple[float, float]]:
    clipped = []
    for last, point in zip(points[-1:] + points[:-1], points, strict=True):
        inside, was = sign * (point[axis] - bound) >= 0, sign * (last[axis] - bound) >= 0
        if inside != was:
            share = (bound - last[axis]) / (point[axis] - last[axis])
            other = last[1 - axis] + share * (point[1 - axis] - last[1 - axis])
            clipped.append((bound, other) if axis == 0 else (other, bound))
        if inside:
            clipped.append(point)
    return clipped


def encode(mask: NDArray[Any]) -> Code:
    """Return an (H, W) mask, nonzero inside, as a compressed run-length code with its counts as text."""
    return _text(coco_mask.encode(np.asfortranarray(mask != 0).view(np.uint8)))


def draw(polygons: Sequence[Polygon], width: int, height: int) -> Code:
    """Return the union of polygons as a run-length code, filled as COCO's own tools do."""
    return merge(coco_mask.frPyObjects(list(polygons), height, width))


def compress(code: Code) -> Code:
    """Return a run-length code, whose counts may be a list, with its counts as text."""
    if isinstance(code["counts"], list):
        return _text(coco_mask.frPyObjects(code, *code["size"]))
    return code


def merge(codes: Sequence[Code]) -> Code:
    """Return the union of run-length codes of one size."""
    return _text(coco_mask.merge(list(codes)))


def _text(code: Code) -> Code:
    counts = code["counts"]
    return {
        "size": [int(v) for v in code["size"]],
        "counts": counts.decode() if isinstance(counts, bytes) else counts,
    }


def area(code: Code) -> int:
    """Return a code's number of pixels."""
    return int(coco_mask.area(code))


def extent(code: Code) -> tuple[float, float, float, float]:
    """Return a code's box: x, y, width, height in pixels."""
    x, y, width, height = (float(v) for v in coco_mask.toBbox(code))
    return x, y, width, height


def polygon_extent(polygons: Sequence[Polygon]) -> tuple[float, float, float, float]:
    """Return the box around polygons: x, y, width, height in pixels."""
    x = [v for polygon in polygons for v in polygon[::2]]
    y = [v for polygon in polygons for v in polygon[1::2]]
    return min(x), min(y), max(x) - min(x), max(y) - min(y)
