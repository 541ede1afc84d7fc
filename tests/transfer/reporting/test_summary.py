import dataclasses

import pytest

from tests.cases.records import make_record
from tests.transfer.reporting.test_markdown import runs, summary
from transfer.records.record import Data, Split, Tide
from transfer.reporting.summary import mean_curve

TIDE = Tide(50.0, 5.0, 12.0, 1.0, 0.5, 3.0, 20.0, 9.0, 30.0)


def test_differences_are_to_the_baseline_of_the_same_label_fraction():
    few = [*runs("a", 6.0, label_fraction=0.1), *runs("random", 5.0, label_fraction=0.1)]
    numbers = summary(*runs("a", 14.0, 18.0), *runs("random", 10.0, 12.0), *few)
    random, a, random_few, a_few = numbers.groups
    assert numbers.base(1.0) is random
    assert numbers.base(0.1) is random_few
    difference = numbers.difference(a, "segm", "AP")
    assert (difference.mean, difference.std, difference.n) == (pytest.approx(5.0), pytest.approx(2**0.5), 2)  # 4 and 6
    assert numbers.difference(a_few, "segm", "AP").mean == pytest.approx(1.0)
    assert numbers.difference(random, "segm", "AP") is None
    assert numbers.difference(a, "segm", "APs") is None  # not measured


def test_classes_and_errors_are_means_over_the_runs_that_all_have_them():
    split = Split("images", "ann.json", "f" * 64, 10, 20, ["zero", "one"])

    def run(init, seed, zero, one, tide):
        per_class = {"bbox": {}, "segm": {"zero": zero, "one": one}}
        errors = {"bbox": None, "segm": tide}
        return make_record(init, seed, per_class=per_class, tide=errors, data=Data(split, split))

    half = dataclasses.replace(TIDE, missed=10.0)
    numbers = summary(
        run("a", 0, 10.0, None, TIDE), run("a", 1, 20.0, 5.0, half), run("random", 0, 12.0, 1.0, None),
        run("random", 1, 14.0, 3.0, None),
    )  # fmt: skip
    random, a = numbers.groups
    assert numbers.class_ap(a, "segm", "zero").mean == 15.0
    assert numbers.class_ap(a, "segm", "one") is None
    assert numbers.class_ap(a, "bbox", "zero") is None
    assert numbers.class_difference(a, "segm", "zero").mean == pytest.approx(2.0)
    assert numbers.class_difference(a, "segm", "one") is None
    assert numbers.error(a, "segm", "missed").mean == 15.0
    assert numbers.error(random, "segm", "missed") is None


def test_what_was_run_is_counted_once():
    few = [*runs("a", 6.0, label_fraction=0.1), *runs("random", 5.0, label_fraction=0.1)]
    numbers = summary(*runs("a", 15.0, 15.4, 15.2), *runs("random", 12.0, 12.1, 12.3), *few)
    assert numbers.seeds == 3
    assert numbers.tested == 1  # with one seed there is no p
    assert len(numbers.runs("a")) == 4
    assert [(init, weights and weights.file) for init, weights in numbers.weights] == [("random", None), ("a", "a.pth")]


def test_a_mean_curve_has_the_points_that_all_runs_have():
    assert mean_curve([((1.0, 2.0), (2.0, 4.0)), ((1.0, 4.0), (3.0, 9.0))]) == ((1.0, 3.0),)
