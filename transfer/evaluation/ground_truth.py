"""A COCO- or LVIS-format annotation file as something to measure on: read, checked and counted."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfer.data.coco import check_layout, count
from transfer.errors import InputError
from transfer.evaluation import rle_check
from transfer.files.json_files import large_values, parse, read_bytes
from transfer.records.record import Counts, Split

WHAT = "a COCO annotation file"
_FIELDS: dict[str, dict[str, type]] = {
    "images": {"id": int, "width": int, "height": int},  # LVIS has no file_name
    "annotations": {"image_id": int, "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}


@dataclass(frozen=True)
class GroundTruth:
    """An annotation file.

    Attributes:
        file: where it lies.
        sha256: of its bytes.
        content: the parsed file, with ``iscrowd`` in every annotation and ids from 1 on, because pycocotools takes a
            match with the object of id 0 for none.
        protocol: "coco" or "lvis".
        classes: category id -> name, by id.
        frequency: category id -> "r", "c" or "f"; empty unless LVIS.
        sizes: image id -> (height, width) in pixels.
    """

    file: Path
    sha256: str
    content: dict[str, Any]
    protocol: str
    classes: dict[int, str]
    frequency: dict[int, str]
    sizes: dict[int, tuple[int, int]]

    @property
    def has_masks(self) -> bool:
        """Whether every object has a mask."""
        return all(a.get("segmentation") for a in self.content["annotations"])

    def counts(self, detections: int) -> Counts:
        """Return what is measured on."""
        return count(self.content, detections)

    def split(self) -> Split:
        """Return the file as the run record describes data; nobody said where the images are."""
        names = list(self.classes.values())
        n_images, n_instances = len(self.sizes), len(self.content["annotations"])
        return Split("", str(self.file), self.sha256, n_images, n_instances, names)


@large_values()
def read(file: Path, *, objects: bool = True) -> GroundTruth:
    """Read an annotation file.

    Args:
        file: in COCO's or LVIS's format.
        objects: whether there has to be an object to find, without which nothing can be measured.

    Raises:
        InputError: no such file, no annotation file, ids that are unknown or given twice, boxes or areas that are no
            numbers, or nothing to find.
    """
    raw = read_bytes(file, WHAT)
    content = parse(raw, file, WHAT)
    if isinstance(content, list) and content and isinstance(content[0], dict) and "score" in content[0]:
        raise InputError(f"{file}: expected {WHAT}, found a list of detections; are --gt and --detections swapped?")
    check_layout(content, file, _FIELDS)
    _check_ids(content, file)
    annotations = [
        {**entry, "id": i, "iscrowd": int(bool(entry.get("iscrowd")))}
        for i, entry in enumerate(content["annotations"], start=1)
    ]
    for i, entry in enumerate(annotations):
        _check_numbers(entry, f"{file}: annotations[{i}]")
    _check_codes(annotations, {image["id"]: (image["height"], image["width"]) for image in content["images"]}, file)
    if objects and all(entry["iscrowd"] for entry in annotations):
        found = f"{len(annotations)} crowd regions" if annotations else "none"
        raise InputError(f"{file}: expected at least one object to find, found {found}; nothing can be measured on it")
    categories = sorted(content["categories"], key=lambda c: c["id"])
    lvis = any("neg_category_ids" in image for image in content["images"])
    return GroundTruth(
        file=file,
        sha256=hashlib.sha256(raw).hexdigest(),
        content={"images": content["images"], "annotations": annotations, "categories": categories},
        protocol="lvis" if lvis else "coco",
        classes={c["id"]: c["name"] for c in categories},
        frequency={c["id"]: c["frequency"] for c in categories if lvis and "frequency" in c},
        sizes={image["id"]: (image["height"], image["width"]) for image in content["images"]},
    )


def _check_ids(content: dict[str, Any], file: Path) -> None:
    for name, key in (("images", "id"), ("categories", "id"), ("categories", "name")):
        twice = [value for value, n in Counter(entry[key] for entry in content[name]).items() if n > 1]
        if twice:
            raise InputError(f"{file}: {name}: expected each {key} once, found {twice[0]!r} more than once; correct it")
    for key, name in (("image_id", "images"), ("category_id", "categories")):
        strange = {entry[key] for entry in content["annotations"]} - {entry["id"] for entry in content[name]}
        if strange:
            raise InputError(
                f"{file}: annotations: expected {key}s of its own {name}, found {min(strange)}; correct it"
            )


def _check_codes(annotations: list[dict[str, Any]], sizes: dict[int, tuple[int, int]], file: Path) -> None:
    """Check that run-length codes are of their image's size and fill it; polygons need neither."""
    compressed: list[tuple[int, str]] = []
    pixels: list[int] = []
    for i, entry in enumerate(annotations):
        mask, size = entry.get("segmentation"), sizes[entry["image_id"]]
        if not isinstance(mask, dict):
            continue
        counts = mask.get("counts")
        if tuple(mask.get("size") or ()) != size:
            raise InputError(
                f"{file}: annotations[{i}]: expected a mask of its image's size, {list(size)}, found "
                f"{mask.get('size')}; correct it"
            )
        if isinstance(counts, list) and sum(counts) != size[0] * size[1]:
            raise InputError(
                f"{file}: annotations[{i}]: expected run lengths that fill its image, {size[0] * size[1]} pixels, "
                f"found {sum(counts)}; correct it"
            )
        if isinstance(counts, str):
            compressed.append((i, counts))
            pixels.append(size[0] * size[1])
    broken = rle_check.first_broken([counts for _, counts in compressed], np.array(pixels, np.int64))
    if broken is not None:
        raise InputError(
            f"{file}: annotations[{compressed[broken][0]}]: expected run lengths that fill its image, "
            f"{pixels[broken]} pixels, found a code that does not; correct it"
        )


def _check_numbers(entry: dict[str, Any], where: str) -> None:
    box, area = entry["bbox"], entry.get("area")
    if len(box) != 4 or not all(isinstance(v, int | float) and math.isfinite(v) for v in box):
        raise InputError(f"{where}: expected a bbox [x, y, width, height], found {str(box)[:60]}")
    if not isinstance(area, int | float) or not math.isfinite(area):
        found = "none" if area is None else str(area)[:60]
        raise InputError(
            f'{where}: expected "area" in pixels, which says small, medium or large, found {found}; add it'
        )
