"""COCO-format data sets: read one, check it before hours are spent on it, say what it holds.

Nothing here needs Detectron2: what is wrong with a data set is said in a second, before the framework is imported.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.errors import InputError

# Detectron2 itself clips boxes to the image and drops objects whose box or mask is empty, and COCO's own files hold a
# few of them. A few are logged; more than this share of the annotations means that the file is wrong.
TOLERATED = 0.01
# A box may pass the border by this many pixels: annotation tools differ on whether a border pixel counts.
BORDER = 1.0


@dataclass(frozen=True)
class CocoSet:
    """One data set in COCO format, read and counted.

    Attributes:
        images: the folder that file names are relative to.
        annotations: the JSON file.
        fingerprint: SHA-256 of the JSON file, in hexadecimal.
        content: the parsed JSON file.
        classes: class names in the order of their category ids, which is the order of the detector's outputs.
    """

    images: Path
    annotations: Path
    fingerprint: str
    content: dict[str, Any]
    classes: tuple[str, ...]

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.content["images"])

    @property
    def n_instances(self) -> int:
        """Number of annotated objects, crowds included."""
        return len(self.content["annotations"])

    @property
    def has_masks(self) -> bool:
        """Whether every object has a mask."""
        return self.n_instances > 0 and all(a.get("segmentation") for a in self.content["annotations"])

    @property
    def has_rle(self) -> bool:
        """Whether any object outside crowds has its mask as a run-length code rather than polygons."""
        return any(
            isinstance(a.get("segmentation"), dict) and not a.get("iscrowd") for a in self.content["annotations"]
        )


def read_coco(images: str | Path, annotations: str | Path) -> CocoSet:
    """Read a COCO-format data set; what it holds is checked by ``check``.

    Raises:
        InputError: the folder or file is missing, or the file is no COCO object-detection file.
    """
    images, annotations = Path(images), Path(annotations)
    if not images.is_dir():
        raise InputError(f"{images}: expected a folder of images, found {'a file' if images.exists() else 'nothing'}")
    try:
        raw = annotations.read_bytes()
        content = json.loads(raw)
    except FileNotFoundError:
        raise InputError(f"{annotations}: expected a COCO annotation file, found nothing") from None
    except (OSError, ValueError) as error:  # ValueError: no JSON, or no UTF-8
        raise InputError(f"{annotations}: expected a COCO annotation file, found {error}") from None
    _check_layout(content, annotations)
    classes = tuple(c["name"] for c in sorted(content["categories"], key=lambda c: c["id"]))
    return CocoSet(images, annotations, hashlib.sha256(raw).hexdigest(), content, classes)


# list -> fields that every entry must have, with their types.
_FIELDS: dict[str, dict[str, type]] = {
    "images": {"id": int, "file_name": str, "width": int, "height": int},
    "annotations": {"id": int, "image_id": int, "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}


def _check_layout(content: Any, where: Path) -> None:
    """Raise InputError unless the lists and fields that Detectron2 and pycocotools read are all there."""
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a COCO object, found a {type(content).__name__}")
    for name, fields in _FIELDS.items():
        entries = content.get(name)
        if not isinstance(entries, list) or (not entries and name != "annotations"):
            found = (
                f"{len(entries)} entries" if isinstance(entries, list) else ", ".join(list(content)[:8]) or "nothing"
            )
            raise InputError(f'{where}: expected a list "{name}" with entries, found {found}')
        for i, entry in enumerate(entries):
            for key, kind in fields.items():
                if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
                    found = repr(entry.get(key)) if isinstance(entry, dict) else type(entry).__name__
                    raise InputError(f'{where}: {name}[{i}]: expected "{key}" ({kind.__name__}), found {found[:60]}')


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
    for name in _FIELDS:
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
    for image in data.content["images"]:
        if not (data.images / image["file_name"]).is_file():
            fatal.add("missing images", image["file_name"])


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


def check_same_classes(train: tuple[str, ...], val: tuple[str, ...]) -> None:
    """Raise InputError unless both sets have the same classes in the same order of category ids."""
    if train == val:
        return
    only_train, only_val = [n for n in train if n not in val], [n for n in val if n not in train]
    found = f"only in train: {_names(only_train)}; only in val: {_names(only_val)}"
    if not only_train and not only_val:
        found = f"train in the order {_names(train)}, val in the order {_names(val)}"
    raise InputError(
        f"the categories of train and val differ: expected the same names in the same order of ids, found {found}"
    )


def _names(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"
