import numpy as np
import pytest
from scipy import stats

from tests.transfer.comparison.test_compare import resampled, runs
from transfer.comparison import compare, intervals, verdicts
from transfer.comparison.bootstrap import ImageResamples


def judge(records, images=None):
    both_tasks = verdicts.judge(compare.group(records, images=images), "random", images)
    return [verdict for verdict in both_tasks if verdict.task == "segm"]


def test_clear_differences_are_better_and_worse():
    records = [*runs("random", 10.0, 10.2, 9.9), *runs("a", 13.0, 13.1, 13.0), *runs("b", 5.0, 5.1, 5.0)]
    rows = judge(records)
    assert [(v.ours.init, v.word, v.needs) for v in rows] == [("a", "better", ""), ("b", "worse", "")]
    assert all(v.adjusted >= v.p for v in rows)


def test_one_and_two_seeds_never_tell():
    assert str(judge([*runs("random", 1.0), *runs("a", 99.0)])[0]) == "cannot tell: needs at least 2 more seeds"
    two = judge([*runs("random", 1.0, 1.0), *runs("a", 99.0, 99.0)])[0]
    assert str(two) == "cannot tell: needs at least 1 more seed"
    assert two.p is None


def one_seed(difference, error):
    """One run of each start, and images that give their difference a standard error."""
    records = [*runs("random", 10.0), *runs("a", 10.0 + difference)]
    moved = difference + error * stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    images = resampled(records, np.stack([np.zeros(4000), moved], axis=1))
    (verdict,) = judge(records, images)
    assert verdict.word == "cannot tell"
    return verdict.needs


def test_after_one_seed_the_number_of_seeds_is_that_of_a_plan():
    """The plan: the difference stays, and seeds spread it as the images do."""
    assert one_seed(9.3, 1.7) == "needs at least 2 more seeds"
    assert one_seed(3.9, 1.7) == "needs at least 4 more seeds"
    needed = int(one_seed(3.7, 1.7).split()[3])
    assert needed > 4
    count = resampled([*runs("random", 0.0)], np.zeros((2, 1))).count
    widths = []
    for seeds in (needed, needed + 1):  # the run that is there is one of them
        parts = intervals.Part(1.7**2 / seeds, seeds - 1), intervals.Part(1.7**2, count - 1)
        widths.append(intervals.critical(parts, 0.05) * sum(part.variance for part in parts) ** 0.5)
    assert widths[0] > 3.7 > widths[1]


def test_images_that_cannot_carry_one_seeds_difference_are_said():
    assert one_seed(3.0, 1.7).endswith("times the val images, not more seeds")
    assert one_seed(0.01, 1.7) == "too small a difference for this val set"


def test_two_seeds_that_spread_more_than_the_images_need_more_of_them():
    records = [*runs("random", 10.0, 10.0), *runs("a", 12.0, 18.0)]
    noise = 0.5 * np.random.default_rng(0).normal(size=(2000, 1))
    images = resampled(records, np.concatenate([np.zeros((2000, 2)), 5.0 + np.repeat(noise, 2, axis=1)], axis=1))
    (verdict,) = judge(records, images)
    assert verdict.needs == "needs at least 4 more seeds"


def test_an_unclear_difference_says_how_many_seeds_it_needs():
    (verdict,) = judge([*runs("random", 10.0, 10.0, 10.0), *runs("a", 11.0, 10.2, 12.5)])
    assert verdict.word == "cannot tell"
    assert verdict.needs == "needs about 7 more seeds"
    effect = verdict.difference.mean / verdict.difference.std
    power = {n: stats.nct.sf(stats.t.isf(0.025, n - 1), n - 1, effect * n**0.5) for n in (8, 10)}
    assert power[8] < 0.8 < power[10]


def test_images_that_cannot_carry_it_are_said():
    records = [*runs("random", 10.0, 10.0, 10.0), *runs("a", 12.0, 12.0, 12.1)]
    shared = np.random.default_rng(0).normal(size=(2000, 1)) * 1.5
    images = resampled(records, np.concatenate([np.zeros((2000, 3)), np.repeat(shared, 3, axis=1)], axis=1))
    (verdict,) = judge(records, images)
    assert verdict.needs.startswith("needs about 4.")
    assert verdict.needs.endswith("times the val images, not more seeds")


def test_holm_goes_over_all_comparisons_of_a_task():
    base = runs("random", 10.0, 10.0, 10.0)
    alone = judge([*base, *runs("a", 11.0, 11.3, 11.6)])
    assert alone[0].word == "better"
    noisy = [run for name in "bcde" for run in runs(name, 8.0, 10.0, 12.5)]
    (first, *_) = judge([*base, *runs("a", 11.0, 11.3, 11.6), *noisy])
    assert first.p == pytest.approx(alone[0].p)
    assert first.adjusted == pytest.approx(5 * first.p)
    assert first.word == "cannot tell"
    assert first.needs.endswith("among 5 comparisons")  # its own interval leaves out zero, so this must be said


def test_every_label_fraction_has_its_own_baseline():
    records = [*runs("random", 10.0), *runs("a", 11.0), *runs("a", 5.0, label_fraction=0.1)]
    rows = judge(records)
    assert [(v.ours.init, v.ours.fraction, v.baseline.init) for v in rows] == [("a", 1.0, "random")]


def test_exactly_the_same_is_not_told_apart():
    (verdict,) = judge([*runs("random", 10.0, 11.0, 12.0), *runs("a", 10.0, 11.0, 12.0)])
    assert (verdict.word, verdict.needs) == ("cannot tell", "needs more than 200 seeds")


def test_the_answer_is_about_masks_where_all_have_them():
    groups = compare.group(runs("random", 1.0))
    assert verdicts.primary(groups) == "segm"
    assert verdicts.primary(compare.group([*runs("random", 1.0), *runs("a", None)])) == "bbox"
    assert ImageResamples(3).of(groups[0].runs[0]) is None
