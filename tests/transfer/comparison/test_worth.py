"""Worth in labels: known crossings, what is beyond, and how often the interval holds the truth."""

import math

import numpy as np
import pytest

from transfer.comparison.compare import Side
from transfer.comparison.worth import FEWER, MORE, worth

LABELS = (50, 200, 800)
CURVE = (10.0, 18.0, 24.0)


def exact(value):
    return Side(np.array([value] * 3))


@pytest.mark.parametrize(
    ("ap", "labels"), [(10.0, 50), (14.0, 100), (18.0, 200), (21.0, 400), (24.0, 800), (22.0, 200 * 4 ** (2 / 3))]
)
def test_labels_are_interpolated_in_their_logarithm(ap, labels):
    value = worth(exact(ap), dict(zip(LABELS, map(exact, CURVE), strict=True)), True, 0)
    assert value.labels == pytest.approx(labels)
    assert value.beyond == ""
    assert value.basis == "seeds"


@pytest.mark.parametrize(("ap", "beyond", "interval"), [(30.0, MORE, (800, None)), (5.0, FEWER, (None, 50))])
def test_beyond_what_was_measured_there_is_no_number(ap, beyond, interval):
    value = worth(exact(ap), dict(zip(LABELS, map(exact, CURVE), strict=True)), True, 0)
    assert (value.labels, value.beyond) == (None, beyond)
    assert value.interval == pytest.approx(interval)


def test_the_first_crossing_counts_where_the_curve_falls_again():
    value = worth(exact(14.0), {50: exact(10.0), 200: exact(18.0), 800: exact(12.0)}, True, 0)
    assert value.labels == pytest.approx(100)
    assert value.interval == pytest.approx((100, 200 * 4 ** (2 / 3)), rel=1e-3)  # both crossings lie inside


def test_one_seed_without_resampled_images_has_no_interval():
    one = [Side(np.array([ap])) for ap in (*CURVE, 14.0)]
    value = worth(one[3], dict(zip(LABELS, one[:3], strict=True)), True, 0)
    assert value.labels == pytest.approx(100)
    assert value.interval is None


def simulate(rng, seeds, truth, images, own, resamples=200):
    """One study whose true curve is CURVE: AP of each start over seeds, and on resampled images.

    The images move all seeds of one start alike (``images``), the seed moves one run (``own``).
    """
    sides = []
    for ap in (*CURVE, truth):
        values = ap + rng.normal(0, images) + rng.normal(0, own, seeds)
        sides.append(Side(values, values + rng.normal(0, images, (resamples, 1))))
    return worth(sides[3], dict(zip(LABELS, sides[:3], strict=True)), True, 300)


def coverage(trials, seeds, truth, labels, images, own):
    rng, covered = np.random.default_rng(0), 0
    for _ in range(trials):
        low, high = simulate(rng, seeds, truth, images, own).interval
        covered += (low is None or low <= labels) and (high is None or labels <= high)
    return covered / trials


def test_the_interval_covers_the_truth():
    assert 0.91 < coverage(200, 3, 14.0, 100, 0.5, 0.5) <= 0.99  # two standard errors are 3 points


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("images", "own"), [(0.5, 0.5), (0.1, 1.0)])
@pytest.mark.parametrize(("truth", "labels"), [(14.0, 100), (21.0, 400)])
def test_the_interval_covers_93_to_97_percent(seeds, images, own, truth, labels):
    trials = 1500
    slack = 2 * math.sqrt(0.05 * 0.95 / trials)
    assert 0.93 - slack < coverage(trials, seeds, truth, labels, images, own) < 0.97 + slack
