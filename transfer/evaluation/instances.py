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
from transfer.evaluation import detections, ground_truth
from transfer.evaluation.detections import Detections
from transfer.evaluation.objects import Objects
from transfer.files import pixels


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
        images: image number (``ground_truth.GroundTruth``) -> the file's entry (file_name, height, width).
        classes: category number -> name.
    """

    def __init__(self, annotations: Path, folder: Path = Path()) -> None:
        """Read ``annotations``; the images are to lie in ``folder``, for which LVIS's files give them no names.

        Raises:
            InputError: as ``ground_truth.read``; but a file without a single object will do.
        """
        self._truth = ground_truth.read(annotations, objects=False)
        self.images: dict[int, dict[str, Any]] = {
            image["id"]: {**image, "file_name": _file_name(image, folder)} for image in self._truth.content["images"]
        }
        self.classes: dict[int, str] = self._truth.classes
        self._objects: dict[str, Objects] = {}

    def objects(self, task: str) -> Objects:
        """Return what there is to detect, for matching; read once for each task."""
        if task not in self._objects:
            self._objects[task] = Objects(self._truth, task)
        return self._objects[task]

    def choose(self, count: int, seed: int) -> list[int]:
        """Return ``count`` image numbers (or all) drawn by ``seed`` alone, so that no result can have a say in it."""
        ids = np.array(sorted(self.images))
        chosen = np.random.default_rng(seed).choice(ids, size=min(count, len(ids)), replace=False)
        return sorted(int(i) for i in chosen)

    def named(self, names: Iterable[str]) -> list[int]:
        """Return the image numbers behind file names, in the order given.

        Raises:
            InputError: no image of that name; close names are given.
        """
        ids = {image["file_name"]: image_id for image_id, image in self.images.items()}
        for name in (names := list(names)):
            if name not in ids:
                close = difflib.get_close_matches(name, ids, n=3)
                hint = f" (close: {', '.join(close)})" if close else ""
                raise InputError(
                    f"no such image: expected a file name of the val set, found {name}{hint}; name another"
                )
        return list(dict.fromkeys(ids[name] for name in names))

    def truth(self, wanted: Iterable[int]) -> dict[int, list[Instance]]:
        """Return the annotated objects of the ``wanted`` images, crowds left out."""
        instances: dict[int, list[Instance]] = {image_id: [] for image_id in wanted}
        for entry in self._truth.content["annotations"]:
            if entry["image_id"] in instances and not entry["iscrowd"]:
                mask = decode(entry.get("segmentation"), *self._truth.sizes[entry["image_id"]])
                label, box = self.classes[entry["category_id"]], tuple(entry["bbox"])
                instances[entry["image_id"]].append(Instance(label, box, mask))
        return instances

    def read(self, file: Path) -> Detections:
        """Read a COCO results file on this set.

        Raises:
            InputError: as ``transfer.evaluation.detections.read``.
        """
        return detections.read(file, self._truth)

    def detections(self, every: Detections, wanted: Iterable[int], least: float) -> dict[int, list[Instance]]:
        """Return the detections in the ``wanted`` images with a score of at least ``least``, in the file's order."""
        instances: dict[int, list[Instance]] = {image_id: [] for image_id in wanted}
        shown = np.flatnonzero(np.isin(every.image_ids, list(instances)) & (every.scores >= least))
        chosen = every.chosen(shown)
        for i, (image, category) in enumerate(
            zip(chosen.image_ids.tolist(), chosen.category_ids.tolist(), strict=True)
        ):
            code = None if chosen.masks is None else chosen.masks[i]
            box = coco_mask.toBbox(code) if chosen.boxes is None else chosen.boxes[i]
            mask = decode(code, *self._truth.sizes[image])
            instances[image].append(
                Instance(self.classes[category], tuple(box.tolist()), mask, float(chosen.scores[i]))
            )
        return instances


def _file_name(image: dict[str, Any], folder: Path) -> str:
    """Return an image's name below ``folder``; LVIS gives none, or an outdated one, but an address that ends in it."""
    name = str(image.get("file_name") or "")
    if "coco_url" in image and not (name and (folder / name).is_file()):
        return "/".join(image["coco_url"].split("/")[-2:])
    return name


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


def read_pixels(file: Path) -> NDArray[np.uint8]:
    """Return an image as the detector sees it, (H, W, 3) uint8 RGB, upright.

    Raises:
        InputError: missing, damaged, or of a mode without a rule.
    """
    return pixels.read(file)
