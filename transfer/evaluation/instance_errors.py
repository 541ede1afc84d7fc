"""What is right and wrong about single detections, and which objects they stand for, at an IoU of 0.5."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from transfer.evaluation import tide
from transfer.evaluation.detections import Detections
from transfer.evaluation.instances import Instance, ValSet
from transfer.evaluation.matching import match

RIGHT, MISSED = "right", "missed"
# TIDE's kinds, in plain words; an object that no detection stands for is missed.
NAMES = {
    tide.CLASSIFICATION: "wrong class",
    tide.LOCALISATION: "wrong place",
    tide.BOTH: "both wrong",
    tide.DUPLICATE: "duplicate",
    tide.BACKGROUND_ERROR: "nothing there",
}


@dataclass(frozen=True)
class Detected:
    """One run's detections in one image.

    Attributes:
        instances: the best first.
        kinds: of each, RIGHT or one of NAMES; "" for what counts neither way.
        matched: for each object of the image the score of the detection that stands for it, None where none does.
    """

    instances: list[Instance]
    kinds: list[str]
    matched: list[float | None]


def detected(
    val: ValSet, every: Detections, wanted: Iterable[int], task: str, least: float, most: int
) -> dict[int, Detected]:
    """Return what a run detected in the ``wanted`` images, and what each detection is.

    Args:
        val: the images and objects.
        every: the run's detections.
        wanted: image numbers.
        task: "bbox" or "segm": what an IoU is of.
        least: least score, 0-1.
        most: detections an image at the most, the best ones.
    """
    wanted, objects = list(wanted), val.objects(task)
    there = np.flatnonzero(np.isin(every.image_ids, wanted) & (every.scores >= least))
    matching = match(objects, every.chosen(there))
    ways, ignored = tide.classify(matching), matching.ignored[0]
    kinds = ["" if out else NAMES.get(way, RIGHT) for way, out in zip(ways.tolist(), ignored.tolist(), strict=True)]
    instances = val.detections(matching.detections, wanted, 0.0)
    result = {}
    for image in wanted:
        rows = np.flatnonzero(matching.detections.image_ids == image)
        order = np.argsort(-matching.score[rows], kind="stable")[:most]
        first, end = (int(v) for v in objects.real.start[np.searchsorted(objects.images, image) + np.arange(2)])
        scores = dict(zip(matching.object[0][rows].tolist(), matching.score[rows].tolist(), strict=True))
        result[image] = Detected(
            instances=[instances[image][i] for i in order],
            kinds=[kinds[rows[i]] for i in order],
            matched=[scores.get(index) for index in range(first, end)],
        )
    return result
