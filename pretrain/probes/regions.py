"""Regions of an image that a probe looks at: its objects, and as many places of the same shapes that hold none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pretrain.probes.object_set import ObjectImage

_TRIES = 100  # random places for a shape before it is given up


@dataclass(frozen=True, eq=False)
class Region:
    """A box, and which of its pixels belong to it.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the image.
        top, left: where ``shape`` begins.
        shape: (h, w) bool; of an object without a mask, every pixel that its box touches.
    """

    box: tuple[float, float, float, float]
    top: int
    left: int
    shape: NDArray[np.bool_]

    def moved(self, down: int, right: int) -> Region:
        """The same shape elsewhere, whole pixels down and to the right."""
        x0, y0, x1, y1 = self.box
        box = (x0 + right, y0 + down, x1 + right, y1 + down)
        return replace(self, box=box, top=self.top + down, left=self.left + right)

    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image that ``shape`` lies on."""
        height, width = self.shape.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def objects_and_background(
    image: ObjectImage, chosen: Sequence[int] | NDArray[np.int64], rng: np.random.Generator, *, masked: bool
) -> tuple[list[Region], list[Region | None]]:
    """Objects, and for each of them a random place of its shape that meets no object and no crowd of the image.

    Args:
        image: of the objects.
        chosen: numbers of the objects wanted; the places keep off the others too.
        rng: draws the places.
        masked: by masks, which every object must have; else by boxes.

    Returns:
        One object and one place for each number; None for a place where none came up in 100 draws.
    """
    objects = [
        _of_mask(mask, box) if masked and mask is not None else _of_box(box)
        for mask, box in zip(image.masks, image.boxes.tolist(), strict=True)
    ]
    occupied = np.zeros(image.size, np.bool_)
    for region in [*objects, *map(_of_box, image.crowds.tolist())]:
        occupied[region.window()] |= region.shape
    wanted = [objects[k] for k in chosen]
    return wanted, [_elsewhere(region, occupied, rng) for region in wanted]


def _elsewhere(region: Region, occupied: NDArray[np.bool_], rng: np.random.Generator) -> Region | None:
    height, width = region.shape.shape
    tops = rng.integers(0, occupied.shape[0] - height, _TRIES, endpoint=True)
    lefts = rng.integers(0, occupied.shape[1] - width, _TRIES, endpoint=True)
    for top, left in zip(tops.tolist(), lefts.tolist(), strict=True):
        if not (occupied[top : top + height, left : left + width] & region.shape).any():
            return region.moved(top - region.top, left - region.left)
    return None


def _of_mask(mask: dict[str, object], box: Sequence[float]) -> Region:
    pixels = coco_mask.decode(mask)
    x, y, width, height = (int(v) for v in coco_mask.toBbox(mask))
    shape = pixels[y : y + height, x : x + width].astype(np.bool_)
    return Region((box[0], box[1], box[2], box[3]), y, x, shape)


def _of_box(box: Sequence[float]) -> Region:
    x0, y0, x1, y1 = box
    top, left = math.floor(y0), math.floor(x0)
    shape = np.ones((math.ceil(y1) - top, math.ceil(x1) - left), np.bool_)
    return Region((x0, y0, x1, y1), top, left, shape)
