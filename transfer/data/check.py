"""What would spoil a run on a COCO-format data set, found before hours are spent on it.

Nothing here needs Detectron2: what is wrong with a data set is said in a second, before the framework is imported.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from transfer.data.coco import CocoSet
from transfer.errors import InputError

# Detectron2 itself clips boxes to the image and drops objects whose box or mask is empty, and COCO's own files hold a
# few of them. A few are logged; more than this share of the annotations means that the file is wrong.
TOLERATED = 0.01
# A box may pass the border by this many pixels: annotation tools differ on whether a border pixel counts.
BORDER = 1.0
# Images whose headers are read: a few seconds, however large the set.
OPENED = 5000


def check(data: CocoSet, *, masks: bool) -> list[str]:
    """Look for what would spoil a run; return what Detectron2 will drop or clip by itself, one line each, to be logged.

    Args:
        data: the set.
        masks: whether masks are trained on or measured.

    Raises:
        InputError: something no run can use (missing images, unknown ids, duplicate ids, objects without the masks
            that are asked for), or more than 1% of the boxes or masks are bad; one line with all counts.
    """
    fatal, tolerated = Findings(), Findings()
    _check_ids(data, fatal)
    _check_files(data, fatal)
    sizes = {image["id"]: (image["width"], image["height"]) for image in data.content["images"]}
    for annotation in data.content["annotations"]:
        size = sizes.get(annotation["image_id"])
        if size is not None:
            _check_box(annotation, size, fatal, tolerated)
            if masks:
                _check_mask(annotation, fatal, tolerated)
    if tolerated.total > TOLERATED * data.n_instances:
        fatal.update(tolerated)
    if fatal.total:
        raise InputError(
            f"{data.annotations}: expected a usable data set ({data.n_images} images, {data.n_instances} objects), "
            f"found {'; '.join(fatal.lines())}; correct the file or the folder {data.images}"
        )
    return tolerated.lines()


class Findings:
    """Problems by kind, each with its count and its first example."""

    def __init__(self) -> None:
        """Start with none."""
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    @property
    def total(self) -> int:
        """Number of findings of all kinds."""
        return self.counts.total()

    def add(self, kind: str, example: object) -> None:
        """Count one problem of ``kind``."""
        self.counts[kind] += 1
        self.examples.setdefault(kind, str(example))

    def update(self, other: Findings) -> None:
        """Add everything that ``other`` counted."""
        self.counts.update(other.counts)
        self.examples = {**other.examples, **self.examples}

    def lines(self) -> list[str]:
        """Return ``count kind (first: example)`` for each kind."""
        return [f"{count} {kind} (first: {self.examples[kind]})" for kind, count in self.counts.items()]


def _check_ids(data: CocoSet, fatal: Findings) -> None:
    for name in ("images", "annotations", "categories"):
        for found, count in Counter(entry["id"] for entry in data.content[name]).items():
            if count > 1:
                fatal.add(f"duplicate ids in {name}", found)
    for found, count in Counter(data.classes).items():
        if count > 1:
            fatal.add("duplicate category names", found)
    images = {entry["id"] for entry in data.content["images"]}
    categories = {entry["id"] for entry in data.content["categories"]}
    for annotation in data.content["annotations"]:
        if annotation["image_id"] not in images:
            fatal.add("annotations of unknown images", f"image_id {annotation['image_id']}")
        if annotation["category_id"] not in categories:
            fatal.add("annotations of unknown categories", f"category_id {annotation['category_id']}")


def _check_files(data: CocoSet, fatal: Findings) -> None:
    """Look for every file, and into the headers of at most ``OPENED`` of them, spread over the set."""
    step = -(-data.n_images // OPENED)
    for i, image in enumerate(data.content["images"]):
        path = data.images / image["file_name"]
        if not path.is_file():
            fatal.add("missing images", image["file_name"])
        elif i % step == 0:
            _check_header(path, image, fatal)


def _check_header(path: Path, image: dict[str, Any], fatal: Findings) -> None:
    try:
        with Image.open(path) as opened:
            width, height = opened.size
            if opened.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8):  # Detectron2 turns these upright
                width, height = height, width
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's readers raise for damaged files
        fatal.add("unreadable images", f"{image['file_name']}, {type(error).__name__}")
        return
    if (width, height) != (image["width"], image["height"]):
        found = f"{image['file_name']}, {width}x{height} for {image['width']}x{image['height']}"
        fatal.add("images of another size than the file says", found)


def _check_box(annotation: dict[str, Any], size: tuple[int, int], fatal: Findings, tolerated: Findings) -> None:
    box, example = annotation["bbox"], f"annotation {annotation['id']} {annotation['bbox']}"
    if annotation.get("ignore"):
        # Detectron2's COCO reader stops on the key with an assertion; "iscrowd" is what COCO's own sets use.
        fatal.add('annotations with "ignore" (use "iscrowd")', example)
    if "area" not in annotation or "iscrowd" not in annotation:
        # Training can do without; pycocotools stops at the evaluation, hours later.
        fatal.add('annotations without "area" or "iscrowd"', example)
    if len(box) != 4 or not all(isinstance(v, int | float) and math.isfinite(v) for v in box):
        fatal.add("boxes that are not [x, y, width, height]", example)
        return
    x, y, width, height = box
    if width <= 0 or height <= 0:
        tolerated.add("boxes without area", example)
    elif x < -BORDER or y < -BORDER or x + width > size[0] + BORDER or y + height > size[1] + BORDER:
        tolerated.add("boxes outside their image", f"{example} in {size[0]}x{size[1]}")


def _check_mask(annotation: dict[str, Any], fatal: Findings, tolerated: Findings) -> None:
    if annotation.get("iscrowd"):
        return  # crowds are not trained on
    mask, example = annotation.get("segmentation"), f"annotation {annotation['id']}"
    if not mask:
        fatal.add("objects without a mask (train a box detector: MODEL.MASK_ON False)", example)
    elif isinstance(mask, dict):
        counts = mask.get("counts")
        if not counts or mask.get("size") is None:
            fatal.add("masks that are neither polygons nor run-length codes", example)
        elif isinstance(counts, list) and sum(counts[1::2]) == 0:
            tolerated.add("empty masks", example)
    elif not isinstance(mask, list) or not all(isinstance(polygon, list) for polygon in mask):
        fatal.add("masks that are neither polygons nor run-length codes", example)
    elif not any(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in mask):
        tolerated.add("empty masks", example)
