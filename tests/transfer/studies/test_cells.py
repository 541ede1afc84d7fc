"""Cells and their keys: what is shared, what changes with what, and what --only and --shard choose."""

from dataclasses import replace

import pytest

from tests.cases.studies import make_steps
from transfer.errors import InputError
from transfer.studies.cells import cells, chain, select
from transfer.studies.schema import Data, Digits, Probes, Start
from transfer.studies.step import in_order
from transfer.studies.steps import Course


def keys(steps, courses=None):
    """Cell -> id of every step that it is made of."""
    return {c.name: [s.id for s in in_order(chain(c, steps, courses or {}).steps)] for c in cells(steps.study)}


def test_a_cell_is_a_chain_and_label_shares_have_one_pretraining():
    steps = make_steps()
    found = keys(steps)
    assert list(found)[:3] == ["random/0/10%", "random/0/100%", "simclr/0/10%"]
    assert len(found) == 12
    assert [name.split("_")[0] for name in found["simclr/0/10%"]] == ["pretrain", "convert", "finetune"]
    assert found["simclr/0/10%"][:2] == found["simclr/0/100%"][:2]
    assert found["simclr/0/10%"][0] != found["simclr/1/10%"][0]
    assert found["moco/0/10%"][0] == found["moco/1/100%"][0]  # one conversion of one file


def test_a_change_of_one_start_changes_its_cells_alone():
    steps = make_steps()
    starts = {**steps.study.starts, "simclr": Start(pretrain="simclr_r18_any_100e", options={"schedule.epochs": 11})}
    before, after = keys(steps), keys(make_steps(starts=starts))
    assert {name.split("/")[0] for name in before if before[name] != after[name]} == {"simclr"}
    assert not set(before["simclr/0/10%"]) & set(after["simclr/0/10%"])


def test_a_new_start_seed_or_share_leaves_the_others_as_they_were():
    before = keys(make_steps())
    more = {**make_steps().study.starts, "byol": Start(pretrain="byol_r18_any_100e")}
    after = keys(make_steps(starts=more, seeds=(0, 1, 2), labels=("1%", "10%", "100%")))
    assert {name: after[name] for name in before} == before


def test_what_a_detector_is_trained_on_and_how_changes_fine_tunings_alone():
    steps = make_steps()
    before = keys(steps)
    for other in (
        make_steps(data_key="e"),
        make_steps(detector=replace(steps.study.detector, freeze_backbone=True)),
        make_steps(detector=replace(steps.study.detector, schedule_scale=0.5)),
    ):
        after = keys(other)
        assert all(before[name][:-1] == after[name][:-1] for name in before)
        assert not any(before[name][-1] == after[name][-1] for name in before)


def test_what_the_terms_settle_is_in_the_command_and_in_the_key():
    steps = make_steps()
    course = Course({"schedule.epochs": 3}, {"SOLVER.BASE_LR": 0.5})
    one = chain(select(cells(steps.study), ["simclr/0/10%"])[0], steps, {"simclr": course})
    pretrain, _, finetune = in_order(one.steps)
    assert "schedule.epochs=3" in pretrain.arguments
    assert "schedule.epochs=10" not in pretrain.arguments
    assert finetune.arguments[-2:] == ("SOLVER.BASE_LR", "0.5")
    assert pretrain.id not in keys(steps)["simclr/0/10%"]


def test_the_own_digits_are_made_before_anything_that_reads_them():
    steps = make_steps(data=Data(digits=Digits(4, 2, 8)))
    for cell in cells(steps.study):
        assert in_order(chain(cell, steps, {}).steps)[0].kind == "data"


def test_probes_are_taken_of_backbones_that_are_ours():
    steps = make_steps(probes=Probes("classes", ("knn", "linear")))
    found = {cell.start: chain(cell, steps, {}).probes for cell in cells(steps.study)}
    assert [step.arguments[3] for step in found["random"]] == ["random:resnet18"] * 2
    assert [step.needs[0].kind for step in found["simclr"]] == ["pretrain"] * 2
    assert found["moco"] == ()


def test_only_takes_whole_parts_of_names():
    every = cells(make_steps().study)
    assert len(select(every, ["simclr"])) == 4
    assert [cell.name for cell in select(every, ["simclr/1", "moco/0/10%"])] == [
        "moco/0/10%",
        "simclr/1/10%",
        "simclr/1/100%",
    ]
    for name in ("sim", "simclr/2", "simclr/1/1", "simclr/1/10%/"):
        with pytest.raises(InputError, match=rf"--only: .* random, simclr, moco, found {name}"):
            select(every, [name])


def test_shards_are_a_partition_and_keep_a_pretraining_together():
    every = cells(make_steps().study)
    for of in (1, 2, 3, 5, 20):
        parts = [select(every, (), (i, of)) for i in range(of)]
        assert [cell for part in parts for cell in part] == every
    for part in (select(every, (), (i, 6)) for i in range(6)):
        assert len({(cell.start, cell.seed) for cell in part}) == 1
