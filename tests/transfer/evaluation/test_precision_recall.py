import numpy as np
import pytest

from transfer.evaluation import weighted_ap
from transfer.evaluation.precision_recall import precision_curve
from transfer.evaluation.weighted_ap import THRESHOLDS, ClassMatches, MatchedClasses


def random_class(rng, detections, objects):
    matched = np.zeros((len(THRESHOLDS), detections), bool)
    matched[:, rng.permutation(detections)[: objects - 2]] = True
    matched[5:] &= rng.random(detections) < 0.6
    ignored = np.broadcast_to(rng.random(detections) < 0.1, matched.shape) & ~matched
    score = np.sort(rng.random(detections))[::-1]
    return ClassMatches(rng.integers(0, 3, detections), score, matched, ignored, np.array([objects - 2, 1, 1]))


@pytest.fixture
def matches():
    rng = np.random.default_rng(0)
    classes = {name: random_class(rng, n, g) for name, n, g in (("a", 40, 12), ("b", 90, 30), ("c", 7, 5))}
    nothing = np.zeros((len(THRESHOLDS), 3), bool)
    classes["absent"] = ClassMatches(np.zeros(3, int), np.ones(3), nothing, nothing, np.zeros(3, int))
    classes["never detected"] = ClassMatches(np.zeros(3, int), np.ones(3), nothing, nothing, np.array([2, 0, 0]))
    return MatchedClasses([1, 2, 3], classes)


@pytest.mark.parametrize(("threshold", "metric"), [(0, "AP50"), (5, "AP75")])
def test_the_area_below_the_curve_is_the_metric(matches, threshold, metric):
    ap = weighted_ap.summary(weighted_ap.average_precision(matches, np.ones((1, 3), int)))[metric][0]
    curve = precision_curve(matches, threshold)
    assert curve.shape == (101,)
    assert 100 * curve.mean() == pytest.approx(ap)
    assert (np.diff(curve) <= 1e-12).all()
    assert 10 < ap < 90


def test_without_objects_there_is_no_curve(matches):
    assert precision_curve(MatchedClasses([1], {"absent": matches.classes["absent"]}), 0) is None
