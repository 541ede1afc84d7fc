import dataclasses

from tests.cases.records import make_record
from transfer.comparison import comparable

SETTINGS = {"backbone": {"arch": "resnet18"}, "schedule": {"epochs": 100}, "run": {"seed": 0}, "data": {"workers": 1}}


def record(init="metamask", sha="0" * 64, **metadata):
    made = make_record(init)
    return dataclasses.replace(made, weights=dataclasses.replace(made.weights, sha256=sha, metadata=metadata))


def test_repetitions_of_one_pretraining_share_a_name():
    again = {**SETTINGS, "run": {"seed": 1}, "data": {"workers": 8}}
    runs = [
        record(sha="a" * 64, settings=SETTINGS, epoch=100, seed=0, data={"path": "x", "fingerprint": "f"}),
        record(sha="b" * 64, settings=again, epoch=100, seed=1, data={"path": "y", "fingerprint": "f"}),
        make_record(),
    ]
    assert comparable.start_names(runs) == ["metamask", "metamask", "random"]


def test_other_budgets_and_settings_are_other_starts():
    longer = {**SETTINGS, "schedule": {"epochs": 400}}
    runs = [record(settings=SETTINGS, epoch=100), record(settings=longer, epoch=400), record("byol", settings=SETTINGS)]
    assert comparable.start_names(runs) == [
        "metamask (epochs 100, epoch 100)",
        "metamask (epochs 400, epoch 400)",
        "byol",
    ]


def test_weights_that_do_not_say_how_they_were_made_repeat_only_themselves():
    runs = [record("moco", "a" * 64), record("moco", "a" * 64), record("moco", "b" * 64)]
    names = comparable.start_names(runs)
    assert names[0] == names[1] == 'moco (weights "aaaaaaaaaaaa")'
    assert names[2] == 'moco (weights "bbbbbbbbbbbb")'


def test_other_pretraining_data_is_another_start():
    runs = [record(settings=SETTINGS, data={"fingerprint": f, "path": "p"}) for f in ("one", "two")]
    assert comparable.start_names(runs) == ['metamask (fingerprint "one")', 'metamask (fingerprint "two")']
