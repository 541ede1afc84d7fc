"""What is known of a picture's objects, and how COCO and Pascal VOC write it down."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FINE = 4  # the mask is enlarged by this first, so that an outline runs inside the outermost pixels
LEAST_AREA = 12  # pixels; smaller pieces get no outline
# The words are part of files that runs have been measured on: with others, the same labels would be other files.
DESCRIPTION = "stamps: photographed cut-outs on photographs"


@dataclass(frozen=True)
class VisiblePart:
    """The visible part of one object.

    Attributes:
        category: name.
        box: (x, y, width, height) of its pixels.
        area: number of its pixels.
        outlines: [x, y, x, y, ...] in pixels, one list for each piece.
    """

    category: str
    box: tuple[int, int, int, int]
    area: int
    outlines: list[list[float]]


def visible_part(category: str, mask: NDArray[np.bool_]) -> VisiblePart | None:
    """Describe a mask (H, W) that is not empty; None when every piece of it is too small for an outline."""
    lines = outlines(mask)
    ys, xs = np.nonzero(mask)
    x, y = int(xs.min()), int(ys.min())
    box = (x, y, int(xs.max()) - x + 1, int(ys.max()) - y + 1)
    return VisiblePart(category, box, len(xs), lines) if lines else None


def outlines(mask: NDArray[np.bool_]) -> list[list[float]]:
    """The outer outlines of a mask (H, W), each 1/8 pixel inside its edge.

    Holes count as inside: COCO's polygons know none. `transfer.demo.polygons` makes outlines that rasterise to the very
    mask; these stay because sets that were trained on have them.
    """
    large = cv2.resize(mask.astype(np.uint8), None, fx=FINE, fy=FINE, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outer = [c[:, 0] for c in contours if len(c) >= 4 and cv2.contourArea(c) >= LEAST_AREA * FINE**2]
    return [np.round((points + 0.5) / FINE, 2).ravel().tolist() for points in outer]


def coco(
    images: Sequence[tuple[str, Sequence[VisiblePart]]], categories: Sequence[str], size: int, seed: int
) -> dict[str, Any]:
    """The content of a COCO instances file.

    Args:
        images: of each the file name and its objects; ids count from 1 in this order.
        categories: their ids count from 1 in this order.
        size: side of every image, pixels.
        seed: for the file's description of itself.
    """
    ids = {name: number for number, name in enumerate(categories, 1)}
    annotations = [
        {
            "image_id": image_id,
            "category_id": ids[one.category],
            "bbox": list(one.box),
            "area": one.area,
            "iscrowd": 0,
            "segmentation": one.outlines,
        }
        for image_id, (_, objects) in enumerate(images, 1)
        for one in objects
    ]
    return {
        "info": {"description": DESCRIPTION, "seed": seed},
        "licenses": [],
        "images": [
            {"id": number, "file_name": name, "width": size, "height": size}
            for number, (name, _) in enumerate(images, 1)
        ],
        "annotations": [{"id": number, **content} for number, content in enumerate(annotations, 1)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }


def voc(name: str, size: int, objects: Sequence[VisiblePart]) -> str:
    """The content of a VOC annotation file; its boxes count pixels from 1 and include the last."""
    root = ElementTree.Element("annotation")
    _add(root, folder="VOC2007", filename=name)
    _add(ElementTree.SubElement(root, "size"), width=size, height=size, depth=3)
    _add(root, segmented=0)
    for one in objects:
        entry = ElementTree.SubElement(root, "object")
        _add(entry, name=one.category, pose="Unspecified", truncated=0, difficult=0)
        x, y, width, height = one.box
        _add(ElementTree.SubElement(entry, "bndbox"), xmin=x + 1, ymin=y + 1, xmax=x + width, ymax=y + height)
    return ElementTree.tostring(root, encoding="unicode")


def _add(parent: ElementTree.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)
