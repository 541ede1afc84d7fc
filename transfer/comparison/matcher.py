"""Which detection stands for which object, class by class, by the rules of a run's protocol: what resampling needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from transfer.evaluation import detections, ground_truth, pascal
from transfer.evaluation.detections import Detections
from transfer.evaluation.matching import match
from transfer.evaluation.objects import Objects
from transfer.evaluation.weighted_ap import THRESHOLDS, ClassMatches, MatchedClasses


class Matcher:
    """The ground truth of a val set, read once for any number of runs.

    Attributes:
        images: how many.
    """

    def __init__(self, annotations: Path, protocol: str) -> None:
        """Read ``annotations``, in COCO's or LVIS's format.

        Args:
            annotations: the file.
            protocol: one of ``bootstrap.PROTOCOLS``.

        Raises:
            InputError: the file is missing or is no annotation file.
        """
        self._truth = ground_truth.read(annotations)
        self._protocol = protocol
        self._objects: dict[str, Objects] = {}
        self.images = len(self._truth.sizes)

    def read(self, file: Path, tasks: Sequence[str]) -> Detections:
        """Read a run's COCO results file.

        Raises:
            InputError: no such file, or no results on this set.
        """
        return detections.read(file, self._truth, tasks)

    def match(self, detected: Detections, task: str) -> MatchedClasses:
        """Match detections to the objects at every IoU threshold, by the rules of the protocol."""
        if task not in self._objects:
            self._objects[task] = Objects(self._truth, task)
        if self._protocol.startswith("voc"):
            return pascal.match(self._objects[task], detected, eleven_point=self._protocol == "voc2007")
        return by_class(self._objects[task], detected)


def by_class(objects: Objects, detected: Detections) -> MatchedClasses:
    """Return every class's matches at ``precision.THRESHOLDS``, by COCO's or LVIS's rules."""
    matches = match(objects, detected, THRESHOLDS.tolist())
    order = matches.by_score
    order = order[np.argsort(matches.category[order], kind="stable")]
    bounds = np.searchsorted(matches.category[order], np.arange(len(objects.truth.classes) + 1))
    classes = {}
    for k, name in enumerate(objects.truth.classes.values()):
        own = order[bounds[k] : bounds[k + 1]]
        classes[name] = ClassMatches(
            image=matches.image[own],
            score=matches.score[own],
            matched=matches.object[:, own] >= 0,
            ignored=matches.ignored[:, own],
            objects=np.bincount(objects.real.image[objects.real.category == k], minlength=len(objects.images)),
        )
    return MatchedClasses(objects.images.tolist(), classes)
