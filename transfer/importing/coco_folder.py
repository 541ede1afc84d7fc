"""The clean set on disk: images, and a COCO file for each part, read back before anyone sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transfer.data import check, coco
from transfer.data.rules import Problems
from transfer.errors import InputError
from transfer.importing import clean, copies
from transfer.importing.objects import LabelledImage
from transfer.importing.tally import LEFT_OUT, Tally
from transfer.progress import over

IMAGES = "images"
Content = dict[str, list[dict[str, Any]]]  # a COCO file's


def content_of(images: Sequence[LabelledImage], categories: Sequence[str], tally: Tally, *, masks: bool) -> Content:
    """Return a COCO file's content; its images have no file names yet."""
    ids = {name: number for number, name in enumerate(categories, 1)}
    content: Content = {"images": [], "annotations": []}
    content["categories"] = [{"id": number, "name": name} for name, number in ids.items()]
    for number, image in enumerate(over(images, "measuring objects", "images"), 1):
        content["images"].append({"id": number, "file_name": "", "width": image.width, "height": image.height})
        before = len(content["annotations"])
        for category, entry in clean.entries(image, tally, masks=masks):
            own = {"id": len(content["annotations"]) + 1, "image_id": number, "category_id": ids[category]}
            content["annotations"].append(own | entry)
        if len(content["annotations"]) == before:
            tally.add("no object", image.name)
    return content


def check_contents(source: Path, contents: Mapping[str, Content], tally: Tally) -> None:
    """Refuse a set without objects, and what the check of every set refuses."""
    if not any(content["annotations"] for content in contents.values()):
        lines = tally.lines(LEFT_OUT)
        raise InputError(f"{source}: expected objects, found none{'; left out: ' if lines else ''}{'; '.join(lines)}")
    for content in contents.values():
        problems = Problems()
        masks = all("segmentation" in a or a["iscrowd"] for a in content["annotations"])
        check.check_objects(content, masks=masks, problems=problems)
        problems.refuse(source, len(content["images"]), len(content["annotations"]))


def write(
    folder: Path,
    parts: Mapping[str, Sequence[LabelledImage]],
    contents: Mapping[str, Content],
    way: str,
    depth: int | None,
    tally: Tally,
) -> int:
    """Write images and COCO files, and read these back; return how many bits the 16-bit images use, 0 without any."""
    images = [image for members in parts.values() for image in members]
    entries = [entry for content in contents.values() for entry in content["images"]]
    copier = copies.Copies(folder / IMAGES, way, depth, tally)
    for image, name, entry in zip(over(images, "writing images", "images"), copies.names(images), entries, strict=True):
        entry["file_name"] = copier.place(image, name)
    for name, content in contents.items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
        if coco.read_coco(folder / IMAGES, file).content != content:
            raise RuntimeError(f"{file.name} does not read back as it was written")
    return copier.bits
