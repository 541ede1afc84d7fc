"""One drawn object to one COCO annotation: clipped, measured, or left out with the reason counted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from transfer.data.check import BORDER
from transfer.importing import shapes
from transfer.importing.objects import DrawnObject, LabelledImage, Polygon
from transfer.importing.tally import Tally

_FLAT = 1e-3  # square pixels: what rounding leaves of a part without area
_TWICE = 2.0  # an area beyond this many boxes is not the object's


def entries(image: LabelledImage, tally: Tally, *, masks: bool = True) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield class and COCO annotation, without ids, of each object of an image; boxes only without ``masks``."""
    known = set()
    for drawn in image.objects:
        entry = entry_of(drawn if masks else _box_only(drawn, tally), image.width, image.height, tally)
        if not masks and entry is not None:
            entry.pop("segmentation", None)
        if entry is None:
            continue
        key = json.dumps([drawn.category, entry])
        if key in known:
            tally.add("duplicate", drawn.where)
            continue
        known.add(key)
        yield drawn.category, entry


def entry_of(drawn: DrawnObject, width: int, height: int, tally: Tally) -> dict[str, Any] | None:
    """Return ``bbox``, ``area``, ``iscrowd`` and, where there is a mask, ``segmentation``; None for what is no object.

    A mask decides: the box is taken from it where the source gives none, and the area where the source gives none, one
    that no object with this box can have, or that of the box.
    """
    mask: list[Polygon] | dict[str, Any] | None = drawn.code
    code = drawn.code
    if drawn.polygons is not None:
        polygons = _polygons(drawn, width, height, tally)
        if not polygons:
            return None
        mask, code = polygons, shapes.draw(polygons, width, height)
    pixels = None if code is None else shapes.area(code)
    if pixels == 0:
        tally.add("empty mask", drawn.where)
        return None
    box = _box(drawn, mask, width, height, tally)
    if box is None:
        return None
    entry: dict[str, Any] = {"bbox": [*box], "area": _area(drawn, box, pixels, tally), "iscrowd": int(drawn.crowd)}
    if mask is not None:
        entry["segmentation"] = mask
    if drawn.difficult is not None:
        entry["difficult"] = int(drawn.difficult)
    return entry


def _box_only(drawn: DrawnObject, tally: Tally) -> DrawnObject:
    """Return an object without the mask that its box makes needless."""
    if drawn.polygons is None and drawn.code is None:
        return drawn
    tally.add("masks", drawn.where)
    return replace(drawn, polygons=None, code=None) if drawn.box is not None and min(drawn.box[2:]) > 0 else drawn


def _polygons(drawn: DrawnObject, width: int, height: int, tally: Tally) -> list[Polygon]:
    parts = []
    over = False
    for polygon in drawn.polygons or []:
        if len(polygon) < 6 or len(polygon) % 2:
            tally.add("short", drawn.where)
            continue
        if shapes.surface(polygon) < _FLAT:
            tally.add("flat", drawn.where)
            continue
        beyond = shapes.excess(polygon, width, height)
        part = shapes.clip(polygon, width, height) if beyond > 0 else polygon
        if len(part) < 6 or shapes.surface(part) < _FLAT:
            tally.add("outside", drawn.where)
            continue
        over |= beyond > BORDER
        parts.append(part)
    if over:
        tally.add("clipped", drawn.where)
    return parts


def _box(
    drawn: DrawnObject, mask: list[Polygon] | dict[str, Any] | None, width: int, height: int, tally: Tally
) -> tuple[float, float, float, float] | None:
    given = drawn.box
    if mask is not None and (given is None or min(given[2:]) <= 0):
        if given is not None:
            tally.add("box from mask", drawn.where)
        return shapes.polygon_extent(mask) if isinstance(mask, list) else shapes.extent(mask)
    assert given is not None
    left, top, right, bottom = given[0], given[1], given[0] + given[2], given[1] + given[3]
    if right <= left or bottom <= top:
        tally.add("empty box", drawn.where)
        return None
    beyond = shapes.excess([left, top, right, bottom], width, height)
    if beyond == 0:
        return given
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    if right <= left or bottom <= top:
        tally.add("outside", drawn.where)
        return None
    if beyond > BORDER and mask is None:  # an object with a mask is counted with it
        tally.add("clipped", drawn.where)
    return left, top, right - left, bottom - top


def _area(drawn: DrawnObject, box: tuple[float, float, float, float], pixels: int | None, tally: Tally) -> float:
    of_box = box[2] * box[3]
    own = of_box if pixels is None else float(pixels)
    given = drawn.area
    if given is None:
        return own
    usable = math.isfinite(given) and 0 < given <= _TWICE * max(of_box, own) + 4
    if usable and (
        pixels is None or not math.isclose(given, of_box, rel_tol=1e-3) or math.isclose(own, of_box, rel_tol=0.05)
    ):
        return given
    tally.add("area", drawn.where)
    return own
