"""What each kind of error costs: TIDE (Bolya, Foley, Hays, Hoffman, ECCV 2020, arXiv 2008.08115, sections 2.2-2.4).

Every detection that COCO's matching at IoU 0.5 calls wrong is wrong in one way; every object it leaves without a
detection is missed, or is what a wrong class or a wrong place stands for. Each kind is then put right alone, as the
paper's oracles do, and the AP at IoU 0.5 measured again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transfer.evaluation.detections import Detections
from transfer.evaluation.ground_truth import GroundTruth
from transfer.evaluation.matching import BACKGROUND, FOREGROUND, Matching, match
from transfer.evaluation.objects import Objects
from transfer.records.record import Tide

# Ways to be wrong, in the order in which the authors' own code asks.
LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND_ERROR, BOTH = range(1, 6)
_RECALLS = np.linspace(0.0, 1.0, 101)


def errors(truth: GroundTruth, detections: Detections, task: str) -> Tide | None:
    """Return what each kind of error costs in points of AP at IoU 0.5; None where no class has an object.

    Args:
        truth: what to find.
        detections: what was found.
        task: "bbox" or "segm".
    """
    matches = match(Objects(truth, task), detections)
    kinds = classify(matches)
    base = _Flags(matches.category, matches.object[0] >= 0, ~matches.ignored[0], matches.n_objects(len(truth.classes)))
    ap50 = _ap(base, matches)
    if ap50 is None:
        return None

    def gained(flags: _Flags) -> float:
        ap = _ap(flags, matches)
        assert ap is not None  # the same classes as before
        return (ap - ap50) * 100

    def without(kind: int) -> _Flags:
        return replace(base, counted=base.counted & (kinds != kind))

    def targets(kind: int) -> NDArray[np.int64]:
        nearest = matches.same_object if kind == LOCALISATION else matches.other_object
        return np.where(kinds == kind, nearest, -1)

    missed = ~matches.taken()
    for kind in (LOCALISATION, CLASSIFICATION):
        missed[targets(kind)[kinds == kind]] = False
    of = matches.object_category
    return Tide(
        ap50=ap50 * 100,
        classification=gained(_corrected(base, matches, targets(CLASSIFICATION))),
        localisation=gained(_corrected(base, matches, targets(LOCALISATION))),
        both=gained(without(BOTH)),
        duplicate=gained(without(DUPLICATE)),
        background=gained(without(BACKGROUND_ERROR)),
        missed=gained(_fewer(base, of[missed])),
        false_positive=gained(replace(base, counted=base.counted & base.right)),
        false_negative=gained(_fewer(base, of[~matches.taken()])),
    )


@dataclass(frozen=True)
class _Flags:
    """What AP is made of: each detection's class, whether it is right, whether it counts; objects of each class."""

    category: NDArray[np.int64]
    right: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    objects: NDArray[np.int64]


def classify(matches: Matching) -> NDArray[np.int64]:
    """Return each detection's way to be wrong, 0 when it is right or ignored."""
    same, other = matches.same_iou, matches.other_iou
    ways = [
        (same >= BACKGROUND) & (same <= FOREGROUND),
        other >= FOREGROUND,
        same >= FOREGROUND,
        other <= BACKGROUND,
    ]
    kinds = np.select(ways, [LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND_ERROR], BOTH)
    return np.where((matches.object[0] >= 0) | matches.ignored[0], 0, kinds)


def _corrected(base: _Flags, matches: Matching, stands_for: NDArray[np.int64]) -> _Flags:
    """Return the flags with detections put on the objects that they stand for, -1 for none.

    One object takes one detection: where it has one already, the others go, and of several the best score stays.
    """
    wrong = np.flatnonzero(stands_for >= 0)
    wrong = wrong[np.lexsort((-matches.score[wrong], stands_for[wrong]))]
    targets = stands_for[wrong]
    best = np.ones(len(wrong), np.bool_)
    best[1:] = targets[1:] != targets[:-1]
    best &= ~matches.taken()[targets]
    right, counted, category = base.right.copy(), base.counted.copy(), base.category.copy()
    counted[wrong[~best]] = False
    right[wrong[best]] = True
    category[wrong[best]] = matches.object_category[targets[best]]
    return replace(base, category=category, right=right, counted=counted)


def _fewer(base: _Flags, gone: NDArray[np.int64]) -> _Flags:
    """Return the flags with one object less for each class index in ``gone``; the curve stretches over the rest."""
    return replace(base, objects=base.objects - np.bincount(gone, minlength=len(base.objects)))


def _ap(flags: _Flags, matches: Matching) -> float | None:
    """Return the mean AP of the classes that have objects in the ground truth.

    A class whose objects an oracle took away altogether had no right detection, so its AP was 0 and stays so.
    """
    order = matches.by_score[flags.counted[matches.by_score]]
    order = order[np.argsort(flags.category[order], kind="stable")]
    category, right = flags.category[order], flags.right[order]
    bounds = np.searchsorted(category, np.arange(len(flags.objects) + 1))
    present = np.flatnonzero(matches.n_objects(len(flags.objects)))
    if not present.size:
        return None
    return float(np.mean([_one_class(right[bounds[k] : bounds[k + 1]], int(flags.objects[k])) for k in present]))


def _one_class(right: NDArray[np.bool_], objects: int) -> float:
    """Return COCO's AP, the mean over 101 recalls, of detections in the order of their scores."""
    if not right.any():
        return 0.0
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(right) + 1))[::-1])[::-1]
    at = np.searchsorted(hits / objects, _RECALLS)
    return float(precision[at[at < len(right)]].sum() / len(_RECALLS))
