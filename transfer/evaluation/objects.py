"""The objects and crowd regions of a ground truth for one task, by image, as pycocotools takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from transfer.evaluation.detections import Detections
from transfer.evaluation.ground_truth import GroundTruth

Ints = NDArray[np.int64]


class Objects:
    """What there is to find, read once for any number of detectors.

    Attributes:
        truth: the annotation file.
        task: "bbox" or "segm".
        images: (I,) image ids, rising: the order in which COCO breaks ties between scores.
        classes: (K,) class ids, rising.
        real: the G objects that count.
        crowd: the regions inside which a detection counts neither way.
    """

    def __init__(self, truth: GroundTruth, task: str) -> None:
        """Sort the annotations by image; draw their polygons for "segm"."""
        self.truth, self.task = truth, task
        self.images: Ints = np.array(sorted(truth.sizes), np.int64)
        self.classes: Ints = np.array(list(truth.classes), np.int64)
        annotations = sorted(truth.content["annotations"], key=lambda a: a["image_id"])  # stable
        self.real = Regions(self, [a for a in annotations if not a["iscrowd"]])
        self.crowd = Regions(self, [a for a in annotations if a["iscrowd"]])

    def indices(self, detections: Detections) -> tuple[Ints, Ints]:
        """Return (N,) index of the image, and of the class, of each detection."""
        return np.searchsorted(self.images, detections.image_ids), np.searchsorted(
            self.classes, detections.category_ids
        )


class Regions:
    """Annotations by image.

    Attributes:
        entries: G annotations, by image.
        image: (G,) index of the image.
        category: (G,) index of the class, by id.
        start: (I + 1,) the first of each image's, and the end.
    """

    def __init__(self, of: Objects, annotations: list[dict[str, Any]]) -> None:
        """Take the columns of ``annotations``, which are sorted by image."""
        self.entries = annotations
        self.image = _index(of.images, [a["image_id"] for a in annotations])
        self.category = _index(of.classes, [a["category_id"] for a in annotations])
        self.start: Ints = np.searchsorted(self.image, np.arange(len(of.images) + 1))
        if of.task == "bbox":
            self._places: Any = np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4)
        else:
            self._places = []
            for i in np.unique(self.image).tolist():
                own = annotations[self.start[i] : self.start[i + 1]]
                self._places += _codes([a["segmentation"] for a in own], *of.truth.sizes[own[0]["image_id"]])

    def places(self, image: int) -> Any:
        """Return the boxes, or run-length codes, of the image with this index."""
        return self._places[self.start[image] : self.start[image + 1]]


def _index(ids: Ints, wanted: list[int]) -> Ints:
    indices: Ints = np.searchsorted(ids, np.array(wanted, np.int64))
    return indices


def _codes(segmentations: list[Any], height: int, width: int) -> list[Any]:
    """Return the masks of one image as compressed codes; its polygons are drawn in one call."""
    polygons = [polygon for mask in segmentations if isinstance(mask, list) for polygon in mask]
    drawn = iter(coco_mask.frPyObjects(polygons, height, width) if polygons else ())
    codes = []
    for mask in segmentations:
        if isinstance(mask, list):
            parts = [next(drawn) for _ in mask]
            codes.append(parts[0] if len(parts) == 1 else coco_mask.merge(parts))
        elif isinstance(mask["counts"], list):
            codes.append(coco_mask.frPyObjects(mask, height, width))
        else:
            codes.append(mask)
    return codes
