"""Masks as COCO polygons that rasterise back to the very same mask.

Detectron2's default (``INPUT.MASK_FORMAT: polygon``) takes polygons only, and a polygon has no holes. So the outline
follows the pixels' edges (corner coordinates, as pycocotools counts them), and a part with a hole is cut in two through
that hole: the union of the pieces is the mask, pixel for pixel. ``tests/transfer/demo/test_polygons.py`` checks it with
pycocotools.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Point = tuple[int, int]


def mask_to_polygons(mask: NDArray[np.bool_]) -> list[list[int]]:
    """Return polygons ``[x0, y0, x1, y1, ...]`` whose union is ``mask``.

    Args:
        mask: (H, W), true on the object.

    Returns:
        At least one polygon of at least four corners per 4-connected part; corner coordinates in pixels, 0..W, 0..H.
        Empty when the mask is.
    """
    loops = _outlines(mask)
    holes = [loop for loop in loops if _area(loop) < 0]
    if not holes:
        return [[value for point in _corners(loop) for value in point] for loop in loops]
    # Cut every part at the first hole's middle column, and both sides again until no hole is left: a column inside
    # a hole leaves each side strictly narrower, so this ends.
    columns = [x for x, _ in holes[0]]
    middle = (min(columns) + max(columns) + 1) // 2
    left, right = mask.copy(), mask.copy()
    left[:, middle:] = False
    right[:, :middle] = False
    return mask_to_polygons(left) + mask_to_polygons(right)


def _outlines(mask: NDArray[np.bool_]) -> list[list[Point]]:
    """Return the closed paths along the mask's pixel edges, the object always on the right hand (y points down).

    Outer borders have a positive, holes a negative area. Where two object pixels touch at a corner only, the path
    stays with its pixel, so that parts joined by a corner alone are separate.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    follow: dict[Point, list[Point]] = defaultdict(list)  # corner -> where the edges that leave it go
    down_edges = np.diff(padded, axis=1)[1:-1]  # +1: the object begins on the right of this column line
    for y, x in np.argwhere(down_edges):
        above, below = (int(x), int(y)), (int(x), int(y) + 1)
        start, end = (below, above) if down_edges[y, x] > 0 else (above, below)
        follow[start].append(end)
    level_edges = np.diff(padded, axis=0)[:, 1:-1]
    for y, x in np.argwhere(level_edges):
        left, right = (int(x), int(y)), (int(x) + 1, int(y))
        start, end = (left, right) if level_edges[y, x] > 0 else (right, left)
        follow[start].append(end)
    loops = []
    while follow:
        loops.append(_walk(follow))
    return loops


def _walk(follow: dict[Point, list[Point]]) -> list[Point]:
    """Take one closed path out of ``follow``."""
    start = here = next(iter(follow))
    came: Point | None = None
    path: list[Point] = []
    while True:
        choices = follow[here]
        there = choices[0]
        if len(choices) == 2 and came is not None:  # a corner where two pixels touch: turn right, round our own pixel
            there = next(c for c in choices if (c[0] - here[0], c[1] - here[1]) == (came[1] * -1, came[0]))
        choices.remove(there)
        if not choices:
            del follow[here]
        path.append(here)
        came = (there[0] - here[0], there[1] - here[1])
        here = there
        if here == start:
            return path


def _corners(loop: list[Point]) -> list[Point]:
    """Drop the points in the middle of a straight line."""
    return [
        here
        for before, here, after in zip(loop[-1:] + loop[:-1], loop, loop[1:] + loop[:1], strict=True)
        if (here[0] - before[0], here[1] - before[1]) != (after[0] - here[0], after[1] - here[1])
    ]


def _area(loop: list[Point]) -> float:
    """Return the signed area (shoelace formula), positive when the inside lies on the right hand with y down."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(loop, loop[1:] + loop[:1], strict=True)) / 2
