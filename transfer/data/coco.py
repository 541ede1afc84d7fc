"""COCO-format data sets: read one, say what it holds, compare the classes of two."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.errors import InputError
from transfer.records.record import Counts


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
    """Read a COCO-format data set; what it holds is checked by ``transfer.data.check``.

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
    check_layout(content, annotations, _FIELDS)
    classes = tuple(c["name"] for c in sorted(content["categories"], key=lambda c: c["id"]))
    return CocoSet(images, annotations, hashlib.sha256(raw).hexdigest(), content, classes)


# list -> fields that every entry must have, with their types.
_FIELDS: dict[str, dict[str, type]] = {
    "images": {"id": int, "file_name": str, "width": int, "height": int},
    "annotations": {"id": int, "image_id": int, "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}


def check_layout(content: Any, where: Path, wanted: dict[str, dict[str, type]]) -> None:
    """Raise InputError unless the lists and fields that are ``wanted`` are all there.

    Args:
        content: the parsed file.
        where: the file, named in the error.
        wanted: list -> field of every entry -> its type; only "annotations" may be empty.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a COCO object, found a {type(content).__name__}")
    for name, fields in wanted.items():
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


def count(content: dict[str, Any], detections: int | None) -> Counts:
    """Return what a COCO-format set holds and how many detections were measured on it."""
    objects = [a for a in content["annotations"] if not a.get("iscrowd")]
    return Counts(
        images=len(content["images"]),
        objects=len(objects),
        crowds=len(content["annotations"]) - len(objects),
        classes=len({a["category_id"] for a in objects}),
        detections=detections,
    )


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
