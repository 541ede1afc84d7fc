"""The masks of a results file: run lengths or polygons in, compressed codes that fill their images out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from transfer.data import rle_check
from transfer.errors import InputError
from transfer.evaluation.detection_fields import FIELDS, field
from transfer.files.decode import shown


def read_masks(entries: list[Any], sizes: list[tuple[int, int]], file: Path) -> list[dict[str, Any]]:
    """Return the masks of N detections as compressed run-length codes that fill their images.

    Args:
        entries: N detections.
        sizes: N times (height, width) of the image.
        file: is named in errors.

    Raises:
        InputError: a mask is missing, of another size than its image, or none at all.
    """
    masks = _plain_masks(entries, sizes)
    if masks is None:
        masks = _checked_masks(entries, sizes, file)
    pixels = np.array(sizes, np.int64).reshape(-1, 2).prod(1)
    broken = rle_check.first_broken([mask["counts"] for mask in masks], pixels)
    if broken is not None:
        raise InputError(
            f"{file}: detection {broken}: expected run lengths that fill its image, {pixels[broken]} pixels, found a "
            "code that does not; was the file cut or edited?"
        )
    return masks


def _plain_masks(entries: list[Any], sizes: list[tuple[int, int]]) -> list[dict[str, Any]] | None:
    """Return the masks when all are compressed codes of the right size, as detectors write them; else None."""
    try:
        masks = [entry["segmentation"] for entry in entries]
        texts = all(type(mask["counts"]) is str and mask["counts"].isascii() for mask in masks)
        return masks if texts and [_size(mask) for mask in masks] == sizes else None
    except (TypeError, KeyError, AttributeError):  # another kind of mask, or none
        return None


def _checked_masks(entries: list[Any], sizes: list[tuple[int, int]], file: Path) -> list[dict[str, Any]]:
    """Return the masks one by one, other kinds compressed; name the first that cannot be one."""
    masks = []
    for i, (entry, size) in enumerate(zip(entries, sizes, strict=True)):
        mask = field(entry, "segmentation", i, file)
        if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
            mask = _encoded(mask, size, f"{file}: detection {i}")
        if _size(mask) != size:
            raise InputError(
                f"{file}: detection {i}: expected a mask of its image's size, {list(size)} (height, width), found "
                f"{shown(mask.get('size'))}; were they made on resized images?"
            )
        if not mask["counts"].isascii():
            raise InputError(f"{file}: detection {i}: expected {FIELDS['segmentation']}, found {shown(mask)}")
        masks.append({"size": list(size), "counts": mask["counts"]})
    return masks


def _size(mask: dict[str, Any]) -> tuple[Any, ...] | None:
    size = mask.get("size")
    return tuple(size) if isinstance(size, list) and set(map(type, size)) <= {int} else None


def _encoded(mask: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """Return polygons or plain run lengths as a compressed run-length code.

    Args:
        mask: from the file.
        size: (height, width) of its image.
        where: names the detection.
    """
    height, width = size
    try:
        if isinstance(mask, dict):
            counts = mask["counts"]
            if set(map(type, counts)) != {int} or sum(counts) != height * width or min(counts) < 0:
                raise ValueError("run lengths that do not fill their image")
            if mask["size"] != [height, width]:
                return {"size": mask["size"], "counts": ""}  # the caller says it
            code = coco_mask.frPyObjects(mask, height, width)
        else:
            numbers = [v for polygon in mask for v in polygon]
            if not mask or not all(len(p) >= 6 and len(p) % 2 == 0 for p in mask):
                raise ValueError("no polygons")
            if not set(map(type, numbers)) <= {int, float}:
                raise ValueError("polygons of other things than numbers")
            reach = 2 * max(size)
            if not all(-reach < v < reach for v in numbers):  # also for NaN
                raise ValueError("polygons that are not finite, or far from their image")
            code = coco_mask.merge(coco_mask.frPyObjects(mask, height, width))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        why = f", {error}" if type(error) is ValueError else ""
        raise InputError(f"{where}: expected {FIELDS['segmentation']}, found {shown(mask)}{why}; correct it") from None
    return {"size": [height, width], "counts": code["counts"].decode()}
