"""Which class is taken for which, and what is missed or seen where nothing is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transfer.evaluation.detections import Detections
from transfer.evaluation.matching import FOREGROUND, match
from transfer.evaluation.objects import Objects
from transfer.evaluation.weighted_ap import Ints


@dataclass(frozen=True)
class Confusion:
    """Objects against what they were detected as.

    Attributes:
        classes: K names.
        counts: (K + 1, K + 1): row k holds the objects of class k, the last row detections where nothing is; column k
            what was detected as class k, the last column objects that were missed.
        score: least score of the detections that were counted, 0-1.
    """

    classes: list[str]
    counts: Ints
    score: float


def confusion(objects: Objects, detections: Detections, score: float) -> Confusion:
    """Count what the detections with a score of at least ``score`` take for what, at an IoU of 0.5.

    In an image the best score chooses first, and takes the object that it covers best, whatever its class; crowds and
    what lies in them are left out.
    """
    matching = match(objects, detections.chosen(np.flatnonzero(detections.scores >= score)), (FOREGROUND,), True)
    names = list(objects.truth.classes.values())
    background = len(names)
    counts = np.zeros((background + 1, background + 1), np.int64)
    chosen, counted = matching.object[0], ~matching.ignored[0]
    right = chosen >= 0
    np.add.at(counts, (matching.object_category[chosen[right]], matching.category[right]), 1)
    np.add.at(counts[background], matching.category[~right & counted], 1)
    np.add.at(counts[:, background], matching.object_category[~matching.taken()], 1)
    return Confusion(names, counts, score)


def shortened(whole: Confusion, most: int) -> Confusion:
    """Return the ``most`` classes with the most confusion among classes, the rest as one; all where they are fewer."""
    classes = len(whole.classes)
    if classes <= most:
        return whole
    among = whole.counts[:classes, :classes]
    errors = among.sum(axis=0) + among.sum(axis=1) - 2 * np.diag(among)
    own = np.sort(np.argsort(-errors, kind="stable")[: most - 1])
    group = np.full(classes + 1, most - 1)
    group[own] = np.arange(most - 1)
    group[classes] = most
    counts = np.zeros((most + 1, most + 1), np.int64)
    np.add.at(counts, (group[:, None], group[None, :]), whole.counts)
    names = [whole.classes[k] for k in own] + [f"{classes - most + 1} other classes"]
    return Confusion(names, counts, whole.score)
