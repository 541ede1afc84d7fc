import dataclasses

import pytest

from tests.cases.records import make_record
from transfer.comparison import comparable
from transfer.errors import InputError
from transfer.records.record import Cost

FIELDS = [*comparable.SAME_EVERYWHERE, *comparable.SAME_AT_A_LABEL_FRACTION]


def changed(record, field):
    """The record with one field replaced, and the old and the new value."""
    *parents, last = field.split(".")
    chain = [record]
    for parent in parents:
        chain.append(getattr(chain[-1], parent))
    old = getattr(chain[-1], last)
    new = {str: "elsewhere", list: [1], int: 77, float: 0.5}[type(old)]
    other = dataclasses.replace(chain[-1], **{last: new})
    for owner, name in zip(reversed(chain[:-1]), reversed(parents), strict=True):
        other = dataclasses.replace(owner, **{name: other})
    return other, old, new


@pytest.mark.parametrize("field", FIELDS)
def test_runs_that_differ_in_more_than_their_start_are_refused_by_field(field):
    first = make_record(name="one")
    other, old, new = changed(make_record(name="two", init="a"), field)
    with pytest.raises(InputError) as caught:
        comparable.check_comparable([first, other])
    for word in (f"the same {field}", str(new), str(old)[:12], "one", "two"):
        assert word in str(caught.value)


def test_one_start_has_one_config_and_starts_may_differ_in_theirs():
    other, _, _ = changed(make_record("a", name="two"), "config.sha256")
    comparable.check_comparable([make_record(name="one"), other])
    second, _, _ = changed(make_record("a", 1, name="three"), "config.sha256")
    with pytest.raises(InputError, match=r"the same config\.sha256, found 1+\.\.\. in a-0 and elsewhere in three"):
        comparable.check_comparable([make_record(), make_record("a"), second])


def test_fewer_labels_may_have_another_schedule_and_training_set():
    few, _, _ = changed(make_record("a", label_fraction=0.1, name="few"), "schedule.max_iter")
    few, _, _ = changed(few, "data.train.fingerprint")
    comparable.check_comparable([make_record(), make_record("a"), few])
    with pytest.raises(InputError, match=r"same data\.train\.fingerprint, found elsewhere in few"):
        comparable.check_comparable([few, make_record("b", label_fraction=0.1)])


def test_starts_that_share_no_label_fraction_are_refused():
    with pytest.raises(InputError, match=r"same label_fraction, found 1\.0 in random-0 and 0\.1 in a-0"):
        comparable.check_comparable([make_record(), make_record("a", label_fraction=0.1)])
    comparable.check_comparable([make_record(), make_record(label_fraction=0.1, name="few")])  # nothing to compare


def test_a_run_given_twice_is_refused():
    with pytest.raises(InputError, match=r"given twice: .* seed 0"):
        comparable.check_comparable([make_record(), make_record()])


def test_two_runs_under_one_name_are_refused():
    with pytest.raises(InputError, match=r"two runs under one name: .* found x twice"):
        comparable.check_comparable([make_record(name="x"), make_record(seed=1, name="x")])
    comparable.check_comparable([make_record(name="x"), make_record("a", name="x")])  # told apart by their start


def test_a_frozen_backbone_is_another_protocol_but_another_size_is_not():
    whole = make_record(cost=Cost(parameters=100, trainable=100))
    frozen = make_record("a", name="frozen", cost=Cost(parameters=100, trainable=40))
    with pytest.raises(InputError, match=r"the same cost\.trainable, found 100 in random-0 and 40 in frozen"):
        comparable.check_comparable([whole, frozen])
    larger = make_record("b", cost=Cost(parameters=250, trainable=250))
    unknown = make_record("c", cost=Cost())
    comparable.check_comparable([whole, larger, unknown])


SETTINGS = {"backbone": {"arch": "resnet18"}, "schedule": {"epochs": 100}, "run": {"seed": 0}, "data": {"workers": 1}}


def started(init="metamask", sha="0" * 64, **metadata):
    made = make_record(init)
    return dataclasses.replace(made, weights=dataclasses.replace(made.weights, sha256=sha, metadata=metadata))


def test_repetitions_of_one_pretraining_share_a_name():
    again = {**SETTINGS, "run": {"seed": 1}, "data": {"workers": 8}}
    runs = [
        started(sha="a" * 64, settings=SETTINGS, epoch=100, seed=0, data={"path": "x", "fingerprint": "f"}),
        started(sha="b" * 64, settings=again, epoch=100, seed=1, data={"path": "y", "fingerprint": "f"}),
        make_record(),
    ]
    assert comparable.start_names(runs) == ["metamask", "metamask", "random"]


def test_other_budgets_and_settings_are_other_starts():
    longer = {**SETTINGS, "schedule": {"epochs": 400}}
    runs = [
        started(settings=SETTINGS, epoch=100),
        started(settings=longer, epoch=400),
        started("byol", settings=SETTINGS),
    ]
    assert comparable.start_names(runs) == [
        "metamask (epochs 100, epoch 100)",
        "metamask (epochs 400, epoch 400)",
        "byol",
    ]


def test_weights_that_do_not_say_how_they_were_made_repeat_only_themselves():
    runs = [started("moco", "a" * 64), started("moco", "a" * 64), started("moco", "b" * 64)]
    names = comparable.start_names(runs)
    assert names[0] == names[1] == 'moco (weights "aaaaaaaaaaaa")'
    assert names[2] == 'moco (weights "bbbbbbbbbbbb")'


def test_other_pretraining_data_is_another_start():
    runs = [started(settings=SETTINGS, data={"fingerprint": f, "path": "p"}) for f in ("one", "two")]
    assert comparable.start_names(runs) == ['metamask (fingerprint "one")', 'metamask (fingerprint "two")']
