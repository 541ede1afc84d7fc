"""Ground truth and a run's detections of the same images, read from COCO files, ready to be drawn."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from transfer.errors import InputError
from transfer.files.json_files import parse, read_bytes


@dataclass(frozen=True)
class Instance:
    """One object: its class, box (x, y, width, height) in pixels, mask (H, W) or None, score in 0-1 or None (truth)."""

    label: str
    box: tuple[float, float, float, float]
    mask: NDArray[np.bool_] | None
    score: float | None = None


class ValSet:
    """A COCO annotation file's images, classes and objects.

    Attributes:
        images: image id -> the file's entry (file_name, height, width, ...).
        classes: category id -> name.
    """

    def __init__(self, annotations: Path, folder: Path = Path()) -> None:
        """Read ``annotations``; the images are to lie in ``folder``, for which LVIS's files give them no names.

        Raises:
            InputError: the file is missing or is no COCO annotation file.
        """
        content = _load(annotations, "a COCO annotation file")
        if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
            raise InputError(f"{annotations}: expected a COCO annotation file with images, annotations and categories")
        self.images: dict[int, dict[str, Any]] = {
            image["id"]: {**image, "file_name": _file_name(image, folder)} for image in content["images"]
        }
        self.classes: dict[int, str] = {category["id"]: category["name"] for category in content["categories"]}
        self._annotations = content["annotations"]

    def choose(self, count: int, seed: int) -> list[int]:
        """Return ``count`` image ids (or all) drawn by ``seed`` alone, so that no result can have a say in it."""
        ids = np.array(sorted(self.images))
        chosen = np.random.default_rng(seed).choice(ids, size=min(count, len(ids)), replace=False)
        return sorted(int(i) for i in chosen)

    def named(self, names: Iterable[str]) -> list[int]:
        """Return the image ids behind file names, in the order given.

        Raises:
            InputError: no image of that name; close names are given.
        """
        ids = {image["file_name"]: image_id for image_id, image in self.images.items()}
        found = []
        for name in names:
            if name not in ids:
                close = difflib.get_close_matches(name, ids, n=3)
                hint = f" (close: {', '.join(close)})" if close else ""
                raise InputError(
                    f"no such image: expected a file name of the val set, found {name}{hint}; name another"
                )
            found.append(ids[name])
        return list(dict.fromkeys(found))

    def truth(self, wanted: Iterable[int]) -> dict[int, list[Instance]]:
        """Return the annotated objects of the ``wanted`` images, crowds left out."""
        return self._instances([entry for entry in self._annotations if not entry.get("iscrowd")], wanted)

    def detections(self, file: Path, wanted: Iterable[int], least: float) -> dict[int, list[Instance]]:
        """Return what a COCO results file found in the ``wanted`` images with a score of at least ``least``.

        Raises:
            InputError: no such file, no COCO results, or results that name images or classes the set does not have.
        """
        content = self.check(file)
        return self._instances([entry for entry in content if entry["score"] >= least], wanted)

    def check(self, file: Path) -> list[dict[str, Any]]:
        """Return the detections of a COCO results file.

        Raises:
            InputError: as ``detections``.
        """
        content = _load(file, "a COCO results file")
        if not isinstance(content, list) or not all(isinstance(e, dict) and set(e) >= _RESULT for e in content):
            raise InputError(f"{file}: expected a list of detections with {', '.join(sorted(_RESULT))}")
        for key, known in (("image_id", self.images), ("category_id", self.classes)):
            strange = sorted({entry[key] for entry in content} - set(known))
            if strange:
                raise InputError(
                    f"{file}: expected {key}s of the annotation file, found {strange[0]} and {len(strange) - 1} more "
                    "that it does not have; the run was measured on another set"
                )
        return content

    def _instances(self, entries: list[dict[str, Any]], wanted: Iterable[int]) -> dict[int, list[Instance]]:
        found: dict[int, list[Instance]] = {image_id: [] for image_id in wanted}
        for entry in entries:
            if entry["image_id"] in found:
                image = self.images[entry["image_id"]]
                mask = decode(entry.get("segmentation"), image["height"], image["width"])
                label, box = self.classes[entry["category_id"]], tuple(entry["bbox"])
                found[entry["image_id"]].append(Instance(label, box, mask, entry.get("score")))
        return found


def _file_name(image: dict[str, Any], folder: Path) -> str:
    """Return an image's name below ``folder``; LVIS gives none, or an outdated one, but an address that ends in it."""
    name = str(image.get("file_name") or "")
    if "coco_url" in image and not (name and (folder / name).is_file()):
        return "/".join(image["coco_url"].split("/")[-2:])
    return name


_RESULT = {"image_id", "category_id", "bbox", "score"}


def decode(segmentation: Any, height: int, width: int) -> NDArray[np.bool_] | None:
    """Return COCO's polygons, compressed or plain run-length code as a mask (height, width); None for none."""
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        code = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        code = coco_mask.frPyObjects(segmentation, height, width)
    else:
        code = segmentation
    mask: NDArray[np.bool_] = coco_mask.decode(code).astype(bool)
    return mask


def _load(file: Path, what: str) -> Any:
    return parse(read_bytes(file, what), file, what)
