import dataclasses

import pytest

from tests.records import make_record
from transfer import compare
from transfer.errors import InputError


def with_ap(init, seed, ap):
    return make_record(init=init, seed=seed, segm={"AP": ap})


def test_mean_and_sample_standard_deviation_over_seeds():
    (group,) = compare.group([with_ap("random", seed, ap) for seed, ap in enumerate([1.0, 2.0, 6.0])])
    value = group.values["segm", "AP"]
    assert value.mean == pytest.approx(3)
    assert value.std == pytest.approx(7**0.5)  # ((-2)^2 + (-1)^2 + 3^2) / (3 - 1)
    assert value.n == 3


def test_one_run_has_no_spread():
    (group,) = compare.group([with_ap("random", 0, 5.0)])
    assert group.values["segm", "AP"] == compare.Value(5.0, None, 1)


def test_what_one_run_did_not_measure_is_not_averaged():
    (group,) = compare.group([with_ap("random", 0, 5.0), with_ap("random", 1, None)])
    assert group.values["segm", "AP"] is None
    assert compare.difference(group, group, "segm", "AP") is None


def test_the_difference_pairs_the_seeds():
    runs = [with_ap("a", 0, 12.0), with_ap("a", 1, 25.0), with_ap("random", 0, 10.0), with_ap("random", 1, 20.0)]
    baseline, ours = compare.group(runs)
    assert (baseline.init, ours.init) == ("random", "a")
    found = compare.difference(ours, baseline, "segm", "AP")
    assert found.mean == pytest.approx(3.5)
    assert found.std == pytest.approx(4.5**0.5)  # of 2 and 5, although the seeds themselves differ by 10
    assert found.n == 2


def test_other_seeds_are_not_paired():
    baseline, ours = compare.group([with_ap("a", 0, 1.0), with_ap("a", 1, 2.0), with_ap("random", 5, 1.0)])
    assert compare.difference(ours, baseline, "segm", "AP") == compare.Difference(0.5, None, 1)


def test_the_baseline_can_be_named():
    runs = [with_ap(init, 0, 1.0) for init in ("random", "a", "b")]
    assert [g.init for g in compare.group(runs, "b")] == ["b", "random", "a"]
    with pytest.raises(InputError, match="expected one of random, a, b, found c"):
        compare.group(runs, "c")


@pytest.mark.parametrize("field", list(compare.MUST_AGREE))
def test_runs_that_differ_in_more_than_their_start_are_refused_by_field(field):
    first, other = make_record(name="one"), make_record(name="two", init="a")
    compare.check_comparable([first, other])
    *parents, last = field.split(".")
    chain = [other]
    for parent in parents:
        chain.append(getattr(chain[-1], parent))
    old = getattr(chain[-1], last)
    new = {str: "elsewhere", list: [1], int: 77, float: 0.5}[type(old)]
    changed = dataclasses.replace(chain[-1], **{last: new})
    for owner, name in zip(reversed(chain[:-1]), reversed(parents), strict=True):
        changed = dataclasses.replace(owner, **{name: changed})
    with pytest.raises(InputError) as caught:
        compare.check_comparable([first, changed])
    for word in (f"the same {field}", str(new), str(old)[:12], "one", "two"):
        assert word in str(caught.value)


def test_a_run_given_twice_is_refused():
    with pytest.raises(InputError, match=r"given twice: .* seed 0"):
        compare.check_comparable([make_record(), make_record()])
