"""Intervals against closed forms, and their coverage by simulation."""

import numpy as np
import pytest
from scipy import stats

from transfer.comparison import intervals
from transfer.comparison.intervals import Estimate, Part
from transfer.evaluation import weighted_ap


def test_over_seeds_alone_it_is_the_t_interval():
    values = np.array([1.0, 2.5, 0.4, 3.1])
    interval = intervals.over_seeds(values, None, 100)
    wanted = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert interval.interval() == pytest.approx(wanted)
    assert interval.p() == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-6)


def test_without_spread_over_seeds_the_images_alone_remain():
    resampled = np.random.default_rng(0).normal(size=(1000, 1)) + np.zeros((1, 3))  # every seed moves alike
    interval = intervals.over_seeds(np.array([2.0, 2.0, 2.0]), resampled, 500)
    variance = resampled[:, 0].var(ddof=1)
    low, high = stats.t.interval(0.95, 499, 2.0, np.sqrt(variance))
    assert interval.interval() == pytest.approx((low, high))


def test_what_images_do_to_one_seed_alone_is_not_counted_twice():
    """Seeds that the images move independently have it in their spread already: nothing is left to share."""
    resampled = np.random.default_rng(0).normal(size=(20000, 5))
    assert intervals.image_variance(np.cov(resampled, rowvar=False)) < 0.02
    shared = np.random.default_rng(1).normal(size=(20000, 1))
    assert intervals.image_variance(np.cov(resampled + 2 * shared, rowvar=False)) == pytest.approx(4, rel=0.05)


def test_unpaired_seeds_without_images_are_near_welch():
    a, b = np.array([5.0, 6.2, 5.5, 6.0]), np.array([3.0, 4.9, 4.0])
    interval = intervals.between(a, b, None, 100)
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert interval.value == pytest.approx(a.mean() - b.mean())
    assert interval.error == pytest.approx((a.mean() - b.mean()) / welch.statistic)
    satterthwaite = stats.t.isf(0.025, welch.df)
    assert satterthwaite <= intervals.critical(interval.parts, 0.05) <= stats.t.isf(0.025, 2)


def test_images_that_move_both_sides_alike_cancel_in_unpaired_differences():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(5000, 1)) * 3
    both = common + rng.normal(size=(5000, 3)), common + rng.normal(size=(5000, 4))
    interval = intervals.between(np.array([1.0, 2, 3]), np.array([1.0, 2, 3, 4]), both, 100)
    assert interval.images.variance < 0.1


def test_p_is_the_alpha_whose_interval_ends_at_zero():
    estimate = Estimate(2.0, (Part(0.4, 2),), Part(0.3, 99))
    p = estimate.p()
    assert 0 < p < 1
    assert estimate.interval(1 - p)[0] == pytest.approx(0, abs=1e-6)


def test_nothing_varies():
    assert Estimate(0.0, (Part(0.0, 2),)).p() == 1
    assert Estimate(1.0, (Part(0.0, 2),)).p() < 1e-9
    assert Estimate(1.0, (Part(0.0, 2),)).interval() == (1, 1)


@pytest.mark.parametrize(
    ("ps", "wanted"),
    [([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.5], [0.5]), ([], []), ([0.9, 0.8], [1.0, 1.0])],
)
def test_holm(ps, wanted):
    assert intervals.holm(ps) == pytest.approx(wanted)


def test_holm_keeps_the_chance_of_any_false_claim():
    rng = np.random.default_rng(0)
    wrong = [min(intervals.holm(list(rng.uniform(size=5)))) <= 0.05 for _ in range(4000)]
    assert 0.04 < np.mean(wrong) < 0.06


@pytest.mark.parametrize("value", [1.5, 3.0])
def test_as_many_seeds_as_needed_show_the_difference_four_times_in_five(value):
    n = intervals.seeds_needed(Estimate(value, (Part(1.0, 2),)))  # s² = 3 over 3 seeds
    rng = np.random.default_rng(0)
    values = rng.normal(value, 3**0.5, size=(4000, n))
    shown = stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05
    assert 0.75 < shown.mean() < 0.93  # a whole number of seeds is a little more than enough


def test_no_number_of_seeds_makes_more_images():
    estimate = Estimate(1.0, (Part(0.1, 2),), Part(1.0, 99))
    assert intervals.seeds_needed(estimate) is None
    assert intervals.images_needed(estimate) == pytest.approx((1.984 + 0.845) ** 2, rel=0.01)
    assert intervals.images_needed(Estimate(9.0, (Part(9.0, 2),), Part(1.0, 99))) is None
    assert intervals.seeds_needed(Estimate(0.0, (Part(0.1, 2),))) is None


def test_over_images_is_the_percentile_interval():
    assert intervals.over_images(np.arange(1001) / 10.0) == pytest.approx((2.5, 97.5))


def test_resamples_that_lack_something_are_left_out():
    resampled = np.random.default_rng(0).normal(size=(500, 3))
    with_gap = np.concatenate([resampled, [[np.nan, 1e9, 0]]])
    values = np.array([1.0, 2.0, 4.0])
    assert intervals.over_seeds(values, with_gap, 50).error == intervals.over_seeds(values, resampled, 50).error


# Coverage: does the interval hold the true difference as often as it says? The truth is known because the data are
# drawn here; nothing of the estimator is used to draw them.

TRIALS = 4000


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_coverage_with_seeds_images_and_both_together(n, share):
    """A mean over 100 images: truth + seed + image + (seed × image); ``share`` of the mean's variance is the images'.

    The bootstrap of such a mean is known exactly, so no resampling is needed: its covariance is that of the images'
    values / images.
    """
    rng = np.random.default_rng([n, int(100 * share)])
    images, truth = 100, 0.7
    spread = np.sqrt((1 - share) * n / 2)  # half of the rest from the seed itself, half from seed × image
    seed = rng.normal(size=(TRIALS, n, 1)) * spread
    image = rng.normal(size=(TRIALS, 1, images)) * np.sqrt(share * images)
    own = rng.normal(size=(TRIALS, n, images)) * spread * np.sqrt(images)
    values = truth + seed + image + own
    means = values.mean(axis=2)
    centred = values - means[:, :, None]
    covariance = centred @ centred.transpose(0, 2, 1) / images**2
    held = 0
    for mean, cov in zip(means, covariance, strict=True):
        parts = Part(mean.var(ddof=1) / n, n - 1), Part(intervals.image_variance(cov), images - 1)
        low, high = Estimate(mean.mean(), parts[:1], parts[1]).interval()
        held += low <= truth <= high
    assert 0.93 <= held / TRIALS <= 0.97


def detect(rng, quality, ease):
    """One detector on images of that ease: ClassMatches of 2 objects and 3 detections an image, one IoU threshold.

    A detection is right with a probability that rises with the detector's quality and the image's ease, and right
    ones score higher.
    """
    images = len(ease)
    image = np.repeat(np.arange(images), 3)
    chance = 1 / (1 + np.exp(-(quality + ease[image])))
    right = rng.uniform(size=len(image)) < chance
    right[np.arange(2, len(image), 3)] = False  # one more detection than objects
    score = rng.normal(size=len(image)) + 1.2 * right
    order = np.argsort(-score, kind="stable")
    matched = np.repeat(right[order][None], len(weighted_ap.THRESHOLDS), axis=0)
    none = np.zeros_like(matched)
    return weighted_ap.ClassMatches(image[order], score[order], matched, none, np.full(images, 2))


def ap(matches, weights):
    return 100 * weighted_ap.average_precision(weighted_ap.MatchedClasses([], {"one": matches}), weights)[:, 0, 0]


IMAGES, GAIN, SPREAD = 50, 0.4, 0.25


def difference(rng, ease, weights):
    """AP of one pair of runs, ours minus theirs, for each row of weights."""
    ours, theirs = GAIN + rng.normal() * SPREAD, rng.normal() * SPREAD
    return ap(detect(rng, ours, ease), weights) - ap(detect(rng, theirs, ease), weights)


@pytest.fixture(scope="module")
def true_difference():
    """The mean over many pairs of runs, each on images of its own."""
    rng = np.random.default_rng(0)
    once = np.ones((1, IMAGES), dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighted_ap, "THRESHOLDS", np.array([0.5]))
        return np.mean([difference(rng, ease, once) for ease in rng.normal(size=(5000, IMAGES))])


@pytest.mark.parametrize(("n", "trials"), [(3, 800), (5, 500), (10, 300)])
def test_coverage_for_average_precision(n, trials, true_difference, monkeypatch):
    """Two methods, n seeds each, by real AP on images that are easy or hard for all of them."""
    monkeypatch.setattr(weighted_ap, "THRESHOLDS", np.array([0.5]))
    rng = np.random.default_rng(n)
    held = 0
    for _ in range(trials):
        ease = rng.normal(size=IMAGES)
        drawn = rng.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=60)
        weights = np.concatenate([np.ones((1, IMAGES), dtype=np.int64), drawn])
        pairs = np.array([difference(rng, ease, weights) for _ in range(n)])
        low, high = intervals.over_seeds(pairs[:, 0], pairs[:, 1:].T, IMAGES).interval()
        held += low <= true_difference <= high
    assert 0.93 <= held / trials <= 0.97
