"""COCO-format data sets: read one, say what it holds, compare the classes of two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.data import annotation_file
from transfer.errors import InputError
from transfer.records.record import Counts


@dataclass(frozen=True)
class CocoSet:
    """One data set in COCO format, read and counted.

    Attributes:
        images: the folder that file names are relative to.
        annotations: the JSON file.
        fingerprint: SHA-256 of the JSON file, in hexadecimal.
        content: images, annotations and categories, plain (``transfer.data.annotation_file``).
        classes: class names in the order of their category ids, which is the order of the detector's outputs.
        changes: one line for each thing that was put right in ``content``.
    """

    images: Path
    annotations: Path
    fingerprint: str
    content: dict[str, Any]
    classes: tuple[str, ...]
    changes: tuple[str, ...] = ()

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.content["images"])

    @property
    def n_instances(self) -> int:
        """Number of annotated objects, crowds included."""
        return len(self.content["annotations"])

    @property
    def has_rle(self) -> bool:
        """Whether any object outside crowds has its mask as a run-length code rather than polygons."""
        return any(
            isinstance(a.get("segmentation"), dict) and not a.get("iscrowd") for a in self.content["annotations"]
        )


def read_coco(images: str | Path, annotations: str | Path) -> CocoSet:
    """Read a COCO-format data set; what its boxes, masks and files are worth is asked by ``transfer.data.check``.

    Raises:
        InputError: the folder or file is missing, or the file is no COCO object-detection file.
    """
    images = Path(images)
    if not images.is_dir():
        raise InputError(f"{images}: expected a folder of images, found {'a file' if images.exists() else 'nothing'}")
    read = annotation_file.read(Path(annotations), names=True)
    classes = tuple(c["name"] for c in by_id(read.content["categories"]))
    return CocoSet(images, read.file, read.sha256, read.content, classes, read.changes)


def by_id(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return images or categories in the order of their ids."""
    return sorted(entries, key=lambda entry: entry["id"])


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
    difference = f"only in train: {_names(only_train)}; only in val: {_names(only_val)}"
    if not only_train and not only_val:
        difference = f"train in the order {_names(train)}, val in the order {_names(val)}"
    raise InputError(
        f"the categories of train and val differ: expected the same names in the same order of ids, found {difference}"
    )


def _names(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"
