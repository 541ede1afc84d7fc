"""What every reader of this folder returns: images, and what is drawn on them, before anything is cleaned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Polygon = list[float]  # x1, y1, x2, y2, ... in pixels


@dataclass(frozen=True)
class DrawnObject:
    """One object as it was drawn.

    Attributes:
        category: its class.
        where: what a message calls it.
        box: x, y, width, height in pixels; None to take it from the mask.
        polygons: the parts of its mask, which may overlap.
        code: its mask as a compressed run-length code of the whole image; at most one of ``polygons`` and ``code``.
        area: as the source says, square pixels; None where it says none.
        crowd: a region of many objects that nothing is learned from (COCO's ``iscrowd``).
        difficult: Pascal's flag; None outside Pascal VOC.
    """

    category: str
    where: str
    box: tuple[float, float, float, float] | None = None
    polygons: list[Polygon] | None = None
    code: dict[str, Any] | None = None
    area: float | None = None
    crowd: bool = False
    difficult: bool | None = None


@dataclass(frozen=True)
class LabelledImage:
    """One image of a source.

    Attributes:
        file: the image's file, or the file that holds its bytes.
        name: its path below the source; what an embedded image is to be called.
        width: pixels, upright.
        height: pixels, upright.
        objects: what is drawn on it, perhaps nothing.
        split: "train", "val", "test" or the source's own word; None where the source has no splits.
        embedded: returns the image's bytes, where ``file`` is no image itself.
    """

    file: Path
    name: Path
    width: int
    height: int
    objects: list[DrawnObject] = field(default_factory=list)
    split: str | None = None
    embedded: Callable[[], bytes] | None = None

    def encoded(self) -> bytes:
        """Return the bytes of the image's file."""
        return self.embedded() if self.embedded is not None else self.file.read_bytes()


@dataclass(frozen=True)
class LabelledSet:
    """A source, read.

    Attributes:
        images: at least one.
        categories: class names in the source's order.
    """

    images: list[LabelledImage]
    categories: list[str]


@dataclass(frozen=True)
class Choices:
    """What a source leaves open, as the caller decides it.

    Attributes:
        masks: read masks, not only boxes.
        category: the class of a folder of masks, which names none.
        areas: areas of one value that lie apart: "joined" are one object, "apart" one each; None to refuse them.
        crowds: "keep" or "objects"; None to refuse a set that is mostly crowds.
        skip_missing: leave out what is labelled on images that are missing.
    """

    masks: bool = True
    category: str = "object"
    areas: str | None = None
    crowds: str | None = None
    skip_missing: bool = False
