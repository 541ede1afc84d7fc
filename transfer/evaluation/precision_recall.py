"""Precision against recall, as COCO's AP averages it."""

from __future__ import annotations

import numpy as np

from transfer.evaluation.weighted_ap import RECALLS, ClassMatches, Floats, MatchedClasses


def precision_curve(matches: MatchedClasses, threshold: int) -> Floats | None:
    """Return the best precision at each recall of RECALLS or a higher one, mean over the classes with objects.

    Args:
        matches: of one run.
        threshold: index in ``weighted_ap.THRESHOLDS``; 0 is an IoU of 0.5.

    Returns:
        (101,) in 0-1, not rising; its mean is COCO's AP at that IoU. None where no class has an object.
    """
    curves = [_one_class(one, threshold) for one in matches.classes.values() if one.objects.sum()]
    return np.mean(curves, axis=0) if curves else None


def _one_class(one: ClassMatches, threshold: int) -> Floats:
    right = one.matched[threshold][~one.ignored[threshold]]
    curve = np.zeros(len(RECALLS))
    if right.any():
        hits = np.cumsum(right)
        precision = np.maximum.accumulate((hits / np.arange(1, len(right) + 1))[::-1])[::-1]
        at = np.searchsorted(hits / one.objects.sum(), RECALLS)
        there = at < len(right)
        curve[there] = precision[at[there]]
    return curve
