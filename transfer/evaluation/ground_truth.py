"""A COCO- or LVIS-format annotation file as something to measure on: read, checked, numbered and counted."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfer.data import annotation_file
from transfer.data.annotation_file import Annotations, is_lvis, numbered
from transfer.data.check import check_objects
from transfer.data.coco import by_id, count
from transfer.data.ids import Id
from transfer.data.rules import CHANGED, COUNTED, Problems
from transfer.errors import InputError
from transfer.files.json_files import large_values, read_bytes
from transfer.records.record import Counts, Split

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GroundTruth:
    """An annotation file, its images, annotations and categories numbered from 1 on in the order of their ids.

    No engine sees an id of the file (``transfer.data.ids`` says why); ``image_ids`` and ``category_ids`` lead back.

    Attributes:
        file: where it lies.
        sha256: of its bytes.
        content: the file's lists, numbered, with ``iscrowd`` in every annotation.
        protocol: "coco" or "lvis".
        classes: category number -> name.
        frequency: category number -> "r", "c" or "f"; empty unless LVIS.
        sizes: image number -> (height, width) in pixels.
        image_numbers: the file's image id -> number.
        category_numbers: the file's category id -> number.
        dropped: the file's ids of categories that only labelling tools put there.
        has_masks: whether every object has a mask that is not left out.
        n_with_mask: annotations with one; 0 where masks are left out unseen.
        masks_refused: why the masks cannot be measured, "" when they can (or there are none).
    """

    file: Path
    sha256: str
    content: dict[str, Any]
    protocol: str
    classes: dict[int, str]
    frequency: dict[int, str]
    sizes: dict[int, tuple[int, int]]
    image_numbers: dict[Id, int] = field(repr=False)
    category_numbers: dict[Id, int] = field(repr=False)
    dropped: frozenset[Id] = frozenset()
    has_masks: bool = False
    n_with_mask: int = 0
    masks_refused: str = ""

    @property
    def image_ids(self) -> list[Id]:
        """The file's image ids by number: that of number 1 first."""
        return list(self.image_numbers)

    @property
    def category_ids(self) -> list[Id]:
        """The file's category ids by number: that of number 1 first."""
        return list(self.category_numbers)

    def counts(self, detections: int) -> Counts:
        """Return what is measured on."""
        return count(self.content, detections)

    def split(self) -> Split:
        """Return the file as the run record describes data; nobody said where the images are."""
        names = list(self.classes.values())
        n_images, n_instances = len(self.sizes), len(self.content["annotations"])
        return Split("", str(self.file), self.sha256, n_images, n_instances, names)


_LAST: dict[tuple[str, str, bool | None], GroundTruth] = {}  # one entry: what was read last


@large_values()
def read(
    file: Path, tasks: Sequence[str] | None = None, raw: bytes | None = None, *, objects: bool = True
) -> GroundTruth:
    """Read and check an annotation file; one whose bytes were read last is not read again.

    Args:
        file: in COCO's or LVIS's format.
        tasks: what is to be measured: without "segm" masks are left out unseen. None when the detections decide: then
            masks that cannot be used are only refused when they are asked for.
        raw: its bytes, where they are in memory; ``file`` then only names them in errors.
        objects: whether there has to be an object to find, without which nothing can be measured.

    Raises:
        InputError: no such file, no annotation file, entries that cannot be used, or nothing to find.
    """
    masks = None if tasks is None else "segm" in tasks
    raw = read_bytes(file, annotation_file.WHAT) if raw is None else raw
    key = (str(file.absolute()), hashlib.sha256(raw).hexdigest(), masks)
    if key not in _LAST:
        truth = _read(file, raw, masks)
        _LAST.clear()
        _LAST[key] = truth
    truth = _LAST[key]
    annotations = truth.content["annotations"]
    if objects and all(entry["iscrowd"] for entry in annotations):
        regions = f"{len(annotations)} crowd regions" if annotations else "none"
        raise InputError(
            f"{file}: expected at least one object to find, found {regions}; nothing can be measured on it"
        )
    return truth


def _read(file: Path, raw: bytes, masks: bool | None) -> GroundTruth:
    given = annotation_file.read(file, names=False, raw=raw)
    content = given.content
    n_with_mask = sum(bool(a.get("segmentation")) for a in content["annotations"]) if masks is not False else 0
    has_masks = masks is not False and n_with_mask == len(content["annotations"])
    refused = _check(given, masks)
    images, categories = numbered(content["images"]), numbered(content["categories"])
    lvis = is_lvis(content["images"])
    plain: dict[str, Any] = _numbered(content, images, categories, lvis)
    return GroundTruth(
        file=file,
        sha256=given.sha256,
        content=plain,
        protocol="lvis" if lvis else "coco",
        classes={c["id"]: c["name"] for c in plain["categories"]},
        frequency={c["id"]: c["frequency"] for c in plain["categories"] if lvis and "frequency" in c},
        sizes={image["id"]: (image["height"], image["width"]) for image in plain["images"]},
        image_numbers=images,
        category_numbers=categories,
        dropped=given.dropped,
        has_masks=has_masks,
        n_with_mask=n_with_mask,
        masks_refused=refused,
    )


def _check(given: Annotations, masks: bool | None) -> str:
    """Check boxes and masks, log what is only counted; return why masks that nobody may want cannot be used."""
    content, n_images = given.content, len(given.content["images"])
    n = len(content["annotations"])
    if masks is None and not any(a.get("segmentation") for a in content["annotations"]):
        masks = False
    refused = ""
    problems = Problems()
    if masks is not False:
        try:
            check_objects(content, masks=True, problems=problems)
            problems.refuse(given.file, n_images, n)
            _fill_empty(content)
        except InputError as error:
            if masks:
                raise
            problems, masks, refused = Problems(), False, str(error)
    if masks is False:
        for annotation in content["annotations"]:
            annotation.pop("segmentation", None)
        check_objects(content, masks=False, problems=problems)
        problems.refuse(given.file, n_images, n)
    for line in (*given.changes, *problems.lines(COUNTED, CHANGED)):
        log.warning("%s: %s", given.file, line)
    return refused


def _fill_empty(content: dict[str, Any]) -> None:
    """Give objects whose polygons are none an empty run-length code: they stay to be found, and cannot be."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for annotation in content["annotations"]:
        if annotation.get("segmentation") == []:
            height, width = sizes[annotation["image_id"]]
            annotation["segmentation"] = {"size": [height, width], "counts": [height * width]}


def _numbered(
    content: dict[str, list[dict[str, Any]]], images: dict[Id, int], categories: dict[Id, int], lvis: bool
) -> dict[str, Any]:
    annotations = [
        {**{key: entry[key] for key in _ANNOTATION if key in entry}, "id": i}
        | {"image_id": images[entry["image_id"]], "category_id": categories[entry["category_id"]]}
        for i, entry in enumerate(content["annotations"], 1)
    ]
    listed: list[dict[str, Any]] = [
        {**{key: i[key] for key in _IMAGE if isinstance(i.get(key), str)}, "id": images[i["id"]]}
        | {"width": i["width"], "height": i["height"]}
        for i in content["images"]
    ]
    if lvis:
        for image, entry in zip(listed, content["images"], strict=True):
            for key in ("neg_category_ids", "not_exhaustive_category_ids"):
                image[key] = [categories[one] for one in entry.get(key, ()) if one in categories]
    named = [
        {"id": categories[c["id"]], "name": c["name"], **({"frequency": c["frequency"]} if "frequency" in c else {})}
        for c in by_id(content["categories"])
    ]
    return {"images": listed, "annotations": annotations, "categories": named}


# What measuring needs; engines would stop at a text in another field of which they know better.
_IMAGE = ("file_name", "coco_url")
_ANNOTATION = ("bbox", "area", "iscrowd", "segmentation", "difficult")
