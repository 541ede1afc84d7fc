"""Masks of many annotations at a time: what kind they are, where they reach, and what does not fit their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from transfer.data import rle_check
from transfer.data.annotation_file import where_of
from transfer.data.rules import Problems
from transfer.files.decode import shown

_SLACK = 2.0  # pixels by which masks and boxes of one object differ between tools
_INSIDE = 0.7  # least share of a mask's extent that lies in its box
_NUMBER = {int, float}
_TOO_LARGE = 1e15
_MOST_AREAS = 255  # masks of one call for areas


@dataclass(frozen=True)
class Shapes:
    """What N masks cover.

    Attributes:
        there: (N,) whether there is a mask with something in it.
        extents: (N, 4) x1, y1, x2, y2 in pixels; 0 where there is none.
        areas: (N,) pixels.
    """

    there: NDArray[np.bool_]
    extents: NDArray[np.float64]
    areas: NDArray[np.float64]


def check(annotations: list[dict[str, Any]], sizes: NDArray[np.float64], problems: Problems) -> Shapes:
    """Count masks that cannot be used, and polygons and codes that are odd; mend what ``check_objects`` says.

    Args:
        annotations: plain ones.
        sizes: (N, 2) width and height of each one's image.
        problems: takes them.
    """
    n = len(annotations)
    shapes = Shapes(np.zeros(n, np.bool_), np.zeros((n, 4)), np.zeros(n))
    drawn: list[int] = []
    codes: list[int] = []
    for i, annotation in enumerate(annotations):
        kind = _kind(annotation, sizes[i], problems)
        if kind == "polygons":
            drawn.append(i)
        elif kind == "code":
            codes.append(i)
    _polygons(annotations, drawn, sizes, shapes, problems)
    _codes(annotations, codes, sizes, shapes, problems)
    return shapes


def _kind(annotation: dict[str, Any], size: NDArray[np.float64], problems: Problems) -> str:
    """Return "polygons" or "code" for a mask that has the form of one, otherwise "" and count why."""
    mask = annotation.get("segmentation")
    if type(mask) is list and mask:
        rule = polygons_problem(mask)
        if rule is None:
            return "polygons"
    elif type(mask) is dict:
        rule = _code_problem(mask, int(size[0]), int(size[1]))
        if rule is None:
            return "code"
    elif mask is None or mask == []:
        if annotation["iscrowd"]:
            return ""  # crowds are not trained on, and ignored in measuring by their box
        rule = "no mask"
    else:
        rule = "mask text" if isinstance(mask, str) else "mask kind"
    detail = "" if rule == "no mask" else f": {shown(mask)}"
    problems.add(rule, f"{where_of(annotation)}{detail}")
    return ""


def polygons_problem(mask: list[Any]) -> str | None:
    """Return the rule that a list breaks as polygons; None when each is a list of numbers, to be looked at later."""
    for polygon in mask:
        if type(polygon) is not list:
            kinds = {type(value) for value in mask}
            return "mask flat" if kinds <= _NUMBER else "mask text" if kinds <= {*_NUMBER, str} else "mask kind"
        kinds = set(map(type, polygon))
        if not kinds <= _NUMBER:
            if kinds <= {*_NUMBER, str}:
                return "mask text"
            pair = kinds == {list} and all(len(value) == 2 for value in polygon)
            return "mask pairs" if pair else "mask kind"
    return None


def _code_problem(mask: dict[str, Any], width: int, height: int) -> str | None:
    size, counts = mask.get("size"), mask.get("counts")
    if type(counts) not in (list, str) or not counts or type(size) is not list:
        return "mask kind"
    if size != [height, width] or not set(map(type, size)) <= {int}:
        return "code size"
    if type(counts) is str and not counts.isascii():
        return "code runs"
    if type(counts) is list:
        if not set(map(type, counts)) <= {int}:
            kinds = {type(value) for value in counts}
            return "mask text" if str in kinds else "mask kind"
        if min(counts) < 0 or sum(counts) != width * height:
            return "code runs"
    return None


def _polygons(
    annotations: list[dict[str, Any]], drawn: list[int], sizes: NDArray[np.float64], shapes: Shapes, problems: Problems
) -> None:
    _drop_short(annotations, drawn, problems)
    drawn = [i for i in drawn if annotations[i]["segmentation"]]
    if not drawn:
        return
    polygons = [(i, polygon) for i in drawn for polygon in annotations[i]["segmentation"]]
    owner = np.array([i for i, _ in polygons])
    lengths = np.array([len(polygon) for _, polygon in polygons])
    flat = _floats(chain.from_iterable(polygon for _, polygon in polygons), int(lengths.sum()))
    x, y = flat[::2], flat[1::2]
    starts = np.append(0, np.cumsum(lengths // 2)[:-1])
    of_point = np.repeat(owner, lengths // 2)
    wide, high = sizes[of_point, 0], sizes[of_point, 1]
    finite = np.isfinite(flat).reshape(-1, 2).all(1)
    with np.errstate(invalid="ignore"):
        far = finite & ((x < -wide) | (x > 2 * wide) | (y < -high) | (y > 2 * high))
        over = finite & ((x < -1) | (x > wide + 1) | (y < -1) | (y > high + 1))
    for rule, where in (("mask numbers", ~finite), ("mask reach", far), ("mask outside", over & ~far)):
        bad = np.unique(of_point[where])
        if bad.size:
            first = int(np.flatnonzero(where)[0])
            example = f"{where_of(annotations[of_point[first]])}: {x[first]:g}, {y[first]:g}"
            problems.add(rule, f"{example} in {wide[first]:.0f}x{high[first]:.0f}", int(bad.size))
    x, y = np.where(finite & ~far, x, 0), np.where(finite & ~far, y, 0)
    turn = np.arange(len(x)) + 1  # the next point of the same polygon
    turn[np.append(starts[1:], len(x)) - 1] = starts
    surface = np.abs(np.add.reduceat(x * y[turn] - x[turn] * y, starts)) / 2
    np.add.at(shapes.areas, owner, surface)
    shapes.extents[drawn] = [np.inf, np.inf, -np.inf, -np.inf]
    for column, values, reduce in ((0, x, np.minimum), (1, y, np.minimum), (2, x, np.maximum), (3, y, np.maximum)):
        reduce.at(shapes.extents[:, column], owner, reduce.reduceat(values, starts))
    shapes.there[drawn] = True


def _drop_short(annotations: list[dict[str, Any]], drawn: list[int], problems: Problems) -> None:
    """Take out polygons that are none: pycocotools would take one of four numbers for a box, and stop at others."""
    for i in drawn:
        annotation = annotations[i]
        mask = annotation["segmentation"]
        sound = sound_polygons(mask)
        if len(sound) == len(mask):
            continue
        if sound:
            problems.add("short polygon", where_of(annotation), len(mask) - len(sound))
            annotation["segmentation"] = sound
        else:
            problems.add("empty mask", where_of(annotation))
            annotation["segmentation"] = []


def sound_polygons(mask: list[list[float]]) -> list[list[float]]:
    """Return the polygons of at least three points."""
    return [polygon for polygon in mask if len(polygon) >= 6 and len(polygon) % 2 == 0]


def _floats(values: Any, count: int) -> NDArray[np.float64]:
    listed = list(values)
    try:
        return np.fromiter(listed, np.float64, count)
    except OverflowError:  # a whole number beyond any float
        return np.array([float(v) if -_TOO_LARGE < v < _TOO_LARGE else np.inf for v in listed])


def _codes(
    annotations: list[dict[str, Any]], codes: list[int], sizes: NDArray[np.float64], shapes: Shapes, problems: Problems
) -> None:
    texts = [i for i in codes if type(annotations[i]["segmentation"]["counts"]) is str]
    pixels = sizes.prod(1).astype(np.int64)
    broken = {
        texts[k] for k in rle_check.broken([annotations[i]["segmentation"]["counts"] for i in texts], pixels[texts])
    }
    for i in sorted(broken):
        problems.add("code runs", where_of(annotations[i]))
    sound = [i for i in codes if i not in broken]
    packed = [_packed(annotations[i]["segmentation"]) for i in sound]
    if not packed:
        return
    areas, boxes = _areas(packed), coco_mask.toBbox(packed)
    shapes.areas[sound] = areas
    shapes.extents[sound] = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    shapes.there[sound] = areas > 0
    empty = [i for i, area in zip(sound, areas, strict=True) if area == 0]
    for i in empty:
        if not annotations[i]["iscrowd"]:
            problems.add("empty mask", where_of(annotations[i]))


def _areas(packed: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Return the areas of compressed run-length masks, pixels, (N,), N at least 1.

    pycocotools 2.0.11 keeps the number of masks of one call in 8 bits for a moment, which NumPy 2 refuses above 255.
    """
    parts = [coco_mask.area(packed[i : i + _MOST_AREAS]) for i in range(0, len(packed), _MOST_AREAS)]
    return np.concatenate(parts, dtype=np.float64)


def _packed(mask: dict[str, Any]) -> dict[str, Any]:
    if type(mask["counts"]) is str:
        return mask
    packed: dict[str, Any] = coco_mask.frPyObjects(mask, *mask["size"])
    return packed


def close(extents: NDArray[np.float64], corners: NDArray[np.float64], pixels: float = _SLACK) -> NDArray[np.bool_]:
    """Return (N,) whether two x1, y1, x2, y2 are the same box but for ``pixels`` and 2 % of its sides."""
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 0)
    slack = pixels + 0.02 * np.concatenate([sides, sides], axis=1)
    same: Any = (np.abs(extents - corners) <= slack).all(1)
    return same


def compare(
    annotations: list[dict[str, Any]],
    boxes: NDArray[np.float64],
    sizes: NDArray[np.float64],
    shapes: Shapes,
    bad: NDArray[np.bool_],
    problems: Problems,
) -> None:
    """Count masks that lie outside their own box, where the box itself is sound."""
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    off = shapes.there & ~bad & (share_inside(shapes.extents, corners) < _INSIDE)
    turned = shapes.extents.copy()
    turned[:, 1], turned[:, 3] = sizes[:, 1] - shapes.extents[:, 3], sizes[:, 1] - shapes.extents[:, 1]
    upside_down = off & close(turned, corners)
    for rule, where in (("upside down", upside_down), ("mask off box", off & ~upside_down)):
        if where.any():
            i = int(np.flatnonzero(where)[0])
            extent = [round(float(v), 1) for v in shapes.extents[i]]
            example = (
                f"{where_of(annotations[i])}: mask from {extent[:2]} to {extent[2:]}, box {annotations[i]['bbox']}"
            )
            problems.add(rule, example, int(where.sum()))


def share_inside(extents: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) the share of each extent that lies in the corners grown by the slack, 0-1."""
    low = np.maximum(extents[:, :2], corners[:, :2] - _SLACK)
    high = np.minimum(extents[:, 2:], corners[:, 2:] + _SLACK)
    inside = np.maximum(high - low, 0)
    sides = extents[:, 2:] - extents[:, :2]
    thin = sides <= 0  # a line: it lies inside or not
    share = np.where(thin, high >= low, inside / np.where(thin, 1, sides))
    result: NDArray[np.float64] = share.prod(1)
    return result
