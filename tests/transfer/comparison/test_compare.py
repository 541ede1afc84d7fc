import numpy as np
import pytest

from tests.cases.records import make_record
from transfer.comparison import compare
from transfer.comparison.bootstrap import ImageResamples, Resampled
from transfer.errors import InputError


def with_ap(init, seed, ap, **changes):
    return make_record(init=init, seed=seed, segm={"AP": ap}, **changes)


def runs(init, *aps, **changes):
    return [with_ap(init, seed, ap, **changes) for seed, ap in enumerate(aps)]


def resampled(records, values):
    """Images as if resampling had given ``values`` (resamples, runs) for mask AP."""
    metrics = {
        id(record): Resampled({("segm", "AP"): column}, {("segm", "zero"): column})
        for record, column in zip(records, np.asarray(values, dtype=float).T, strict=True)
    }
    return ImageResamples(100, len(values), metrics)


def test_mean_and_sample_standard_deviation_over_seeds():
    (group,) = compare.group(runs("random", 1.0, 2.0, 6.0))
    value = group.values["segm", "AP"]
    assert value.mean == pytest.approx(3)
    assert value.std == pytest.approx(7**0.5)  # ((-2)^2 + (-1)^2 + 3^2) / (3 - 1)
    assert value.n == 3
    assert value.interval == pytest.approx((3 - 4.3027 * (7 / 3) ** 0.5, 3 + 4.3027 * (7 / 3) ** 0.5), abs=1e-3)


def test_one_run_has_no_spread():
    (group,) = compare.group(runs("random", 5.0))
    assert group.values["segm", "AP"] == compare.Value(5.0, None, 1)


def test_what_one_run_did_not_measure_is_not_averaged():
    (group,) = compare.group(runs("random", 5.0, None))
    assert group.values["segm", "AP"] is None
    assert compare.difference(group, group, "segm", "AP") is None


def test_the_difference_pairs_the_seeds():
    baseline, ours = compare.group([*runs("a", 12.0, 25.0), *runs("random", 10.0, 20.0)])
    assert (baseline.init, ours.init) == ("random", "a")
    difference = compare.difference(ours, baseline, "segm", "AP")
    assert difference.mean == pytest.approx(3.5)
    assert difference.std == pytest.approx(4.5**0.5)  # of 2 and 5, although the seeds themselves differ by 10
    assert (difference.n, difference.interval, difference.basis) == (2, None, "")


def test_three_pairs_give_the_t_interval_over_seeds():
    baseline, ours = compare.group([*runs("a", 12.0, 25.0, 33.0), *runs("random", 10.0, 20.0, 30.0)])
    difference = compare.difference(ours, baseline, "segm", "AP")
    half = 4.3027 * np.std([2, 5, 3], ddof=1) / 3**0.5
    assert difference.interval == pytest.approx((10 / 3 - half, 10 / 3 + half), abs=1e-3)
    assert difference.basis == "seeds"


def test_other_seeds_are_not_paired():
    baseline, ours = compare.group([*runs("a", 1.0, 2.0), with_ap("random", 5, 1.0)])
    assert compare.difference(ours, baseline, "segm", "AP") == compare.Difference(0.5, None, 1)
    mine = [with_ap("a", seed, ap) for seed, ap in enumerate([1.0, 2.0, 3.0])]
    theirs = [with_ap("random", seed + 1, ap) for seed, ap in enumerate([1.0, 2.0, 3.0])]
    baseline, ours = compare.group([*mine, *theirs])
    difference = compare.difference(ours, baseline, "segm", "AP")
    assert difference.std is None
    assert (
        difference.interval[0] < 0 < difference.interval[1]
    )  # although every pair in order differs by exactly nothing


def test_one_seed_has_the_images_alone():
    records = [*runs("random", 10.0), *runs("a", 12.0)]
    rng = np.random.default_rng(0)
    both = rng.normal(size=(1000, 1)) * 5 + [10, 12] + rng.normal(size=(1000, 2)) * 0.1
    baseline, ours = compare.group(records)
    difference = compare.difference(ours, baseline, "segm", "AP", resampled(records, both))
    assert difference.basis == "images"
    assert difference.estimate is None
    # The images that move both by 5 points move the difference by hardly anything: 2 ± 1.96 · 0.14.
    assert difference.interval == pytest.approx((1.72, 2.28), abs=0.05)


def test_seeds_and_images_together():
    records = [*runs("random", 10.0, 11.0, 12.0), *runs("a", 12.0, 13.1, 14.2)]
    shared = np.random.default_rng(0).normal(size=(2000, 1)) * 3
    values = np.concatenate([np.zeros((2000, 3)), np.repeat(shared, 3, axis=1)], axis=1)
    images = resampled(records, values)
    baseline, ours = compare.group(records, images=images)
    difference = compare.difference(ours, baseline, "segm", "AP", images)
    assert difference.basis == "seeds and images"
    assert difference.estimate.images.variance == pytest.approx(9, rel=0.1)
    assert difference.interval[0] < 2.1 - 1.96 * 3 * 0.95
    assert ours.values["segm", "AP"].interval[1] - ours.values["segm", "AP"].mean > 5.5


def test_a_metric_that_was_not_resampled_has_the_seeds_alone():
    records = [*runs("random", 10.0, 11.0, 12.0), *runs("a", 12.0, 13.1, 14.2)]
    baseline, ours = compare.group(records)
    images = resampled(records, np.zeros((100, 6)))
    assert compare.difference(ours, baseline, "bbox", "APm", images).basis == "seeds"


def test_classes_differ_like_everything_else():
    per_class = {"bbox": {}, "segm": {"zero": 1.0, "one": None}}
    records = [*runs("random", 10.0, per_class=per_class), *runs("a", 12.0, per_class=per_class)]
    baseline, ours = compare.group(records)
    images = resampled(records, [[1, 2], [2, 5]])
    assert compare.class_difference(ours, baseline, "segm", "one", images) is None
    assert compare.class_difference(ours, baseline, "bbox", "zero", images) is None
    difference = compare.class_difference(ours, baseline, "segm", "zero", images)
    assert (difference.mean, difference.basis) == (0, "images")
    assert difference.interval == pytest.approx((1.05, 2.95))


def test_label_fractions_are_groups_of_their_own():
    records = [*runs("a", 5.0), *runs("random", 4.0), *runs("a", 3.0, label_fraction=0.1)]
    groups = compare.group(records)
    assert [(g.init, g.fraction, len(g.runs)) for g in groups] == [("random", 1.0, 1), ("a", 1.0, 1), ("a", 0.1, 1)]


def test_the_baseline_can_be_named():
    records = [with_ap(init, 0, 1.0) for init in ("random", "a", "b")]
    assert [g.init for g in compare.group(records, "b")] == ["b", "random", "a"]
    with pytest.raises(InputError, match="expected one of random, a, b, found c"):
        compare.group(records, "c")
