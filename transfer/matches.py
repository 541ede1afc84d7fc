"""Which detection stands for which object, by hotcoco, in the form that resampling needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hotcoco
import numpy as np

from transfer.errors import InputError
from transfer.precision import THRESHOLDS, ClassMatches, Matches

MOST_DETECTIONS = 100  # of each class in each image, as COCO's AP counts
_EVERY_SIZE = [0.0, 1e10]  # COCO's area range "all"


class GroundTruth:
    """A COCO annotation file, read once for any number of runs.

    Attributes:
        images: image ids, rising: the order in which COCO breaks ties between scores.
        classes: category id -> name, in the order of the ids.
    """

    def __init__(self, annotations: Path) -> None:
        """Read ``annotations``.

        Raises:
            InputError: the file is missing or is no COCO annotation file.
        """
        try:
            self._coco = hotcoco.COCO(str(annotations))
            self.images: list[int] = sorted(self._coco.get_img_ids())
            loaded = self._coco.load_cats(self._coco.get_cat_ids())
        except Exception as error:  # hotcoco raises what its parser meets
            raise InputError(f"{annotations} cannot be read: expected a COCO annotation file, found {error}") from None
        self.classes: dict[int, str] = {c["id"]: c["name"] for c in sorted(loaded, key=lambda c: c["id"])}

    def match(self, detections: Path, task: str) -> Matches:
        """Match a COCO results file's detections to the objects, each at every IoU threshold.

        Args:
            detections: the results file.
            task: "bbox" or "segm".

        Raises:
            InputError: no such file, or no results on this set.
        """
        try:
            run = hotcoco.COCOeval(self._coco, self._coco.load_res(str(detections)), task)
            # Each is set as a whole: reading a parameter gives a copy.
            run.params.area_rng, run.params.area_rng_lbl = [_EVERY_SIZE], ["all"]
            run.params.max_dets = [MOST_DETECTIONS]
            run.evaluate()
        except Exception as error:  # hotcoco raises what it meets
            raise InputError(
                f"{detections}: expected detections on the val set, found {error}; evaluate the run again"
            ) from None
        found: dict[int, list[dict[str, Any]]] = {category: [] for category in self.classes}
        for entry in run.eval_imgs:
            if entry is not None:
                found[entry["category_id"]].append(entry)
        index = {image: i for i, image in enumerate(self.images)}
        return Matches(self.images, {name: _class(found[category], index) for category, name in self.classes.items()})


def _class(entries: list[dict[str, Any]], index: dict[int, int]) -> ClassMatches:
    entries = sorted(entries, key=lambda entry: index[entry["image_id"]])
    objects = np.zeros(len(index), dtype=np.int64)
    image, score, matched, ignored = [], [], [], []
    for entry in entries:
        place = index[entry["image_id"]]
        objects[place] = len(entry["gtIgnore"]) - sum(map(bool, entry["gtIgnore"]))
        n = len(entry["dtScores"])
        if n:
            image.append(np.full(n, place))
            score.append(np.asarray(entry["dtScores"], dtype=float))
            matched.append(np.asarray(entry["dtMatched"], dtype=bool))
            ignored.append(np.asarray(entry["dtIgnore"], dtype=bool))
    if not image:
        none = np.zeros((len(THRESHOLDS), 0), dtype=bool)
        return ClassMatches(np.zeros(0, dtype=np.int64), np.zeros(0), none, none, objects)
    scores = np.concatenate(score)
    order = np.argsort(-scores, kind="stable")
    return ClassMatches(
        np.concatenate(image)[order],
        scores[order],
        np.concatenate(matched, axis=1)[:, order],
        np.concatenate(ignored, axis=1)[:, order],
        objects,
    )
