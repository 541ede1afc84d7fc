"""Length, log points, and whose a work folder is."""

import json
import logging

import pytest

from pretrain.data.sources import ImageFiles
from pretrain.errors import InputError
from pretrain.settings.schema import load_settings
from pretrain.training.checkpoint_files import checkpoint_name
from pretrain.training.plan import BACKBONE, Start, make_plan, prepare


def source(images=40, fingerprint="0" * 16):
    return ImageFiles("images", [f"{k}.png" for k in range(images)], fingerprint)


def settings(**sections):
    return load_settings({"method": "metamask", "data": {"batch": 4}, **sections})


def planned(folder, **sections):
    chosen = settings(**sections)
    return chosen, make_plan(chosen, source(), folder)


@pytest.mark.parametrize(
    ("schedule", "iterations", "warmup"),
    [
        ({"epochs": 3, "warmup_share": 0.5, "warmup_epochs": 0.5}, 30, 5),
        ({"epochs": 3, "warmup_share": 0.99, "warmup_epochs": 9.0}, 30, 29),
        ({"iterations": 7, "warmup_epochs": 0.0}, 7, 0),
        ({"iterations": 100, "warmup_share": 0.04}, 100, 4),
        ({"epochs": 100, "warmup_share": 0.04}, 1000, 10),  # an epoch at most
    ],
)
def test_epochs_become_iterations(tmp_path, schedule, iterations, warmup):
    plan = planned(tmp_path / "run", schedule=schedule)[1]
    assert (plan.iterations, plan.warmup) == (iterations, warmup)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("iterations", "wanted", "log_every"), [(6, 10, 1), (25, 10, 2), (100, 10, 10), (1000, 10, 10), (50, 3, 3)]
)
def test_there_are_ten_log_points_however_short_the_run(tmp_path, iterations, wanted, log_every):
    plan = planned(tmp_path, schedule={"iterations": iterations}, run={"log_every": wanted})[1]
    assert plan.log_every == log_every
    assert iterations // plan.log_every >= min(10, iterations)


@pytest.mark.parametrize("schedule", [{"epochs": 0}, {"iterations": 0}, {"iterations": -3}])
def test_no_length_is_refused(tmp_path, schedule):
    with pytest.raises(InputError, match="schedule"):
        planned(tmp_path / "run", schedule=schedule)


def test_a_start_makes_the_folder_and_says_what_it_is(tmp_path):
    chosen, plan = planned(tmp_path / "a" / "run")
    assert prepare(chosen, plan, resume=False) == Start()
    record = json.loads((plan.work_dir / "run.json").read_text())
    assert record["settings"]["method"] == "metamask"
    assert record["data"] == {"path": "images", "images": 40, "fingerprint": "0" * 16}


def test_a_start_that_came_to_nothing_leaves_its_folder_free(tmp_path):
    chosen, plan = planned(tmp_path / "run")
    for resume in (False, False, True):
        assert prepare(chosen, plan, resume=resume) == Start()


def test_another_run_is_refused(tmp_path):
    chosen, plan = planned(tmp_path)
    (tmp_path / BACKBONE).write_bytes(b"")
    with pytest.raises(InputError, match="expected no run in"):
        prepare(chosen, plan, resume=False)
    with pytest.raises(InputError, match="found a finished run without any"):
        prepare(chosen, plan, resume=True)


def test_less_than_is_done_is_refused(tmp_path):
    chosen, plan = planned(tmp_path, schedule={"iterations": 7})
    plan.checkpoints.mkdir()
    (plan.checkpoints / checkpoint_name(8)).write_bytes(b"")
    with pytest.raises(InputError, match="expected more iterations than are done, found 7"):
        prepare(chosen, plan, resume=True)


@pytest.mark.parametrize("content", [None, "{"])
def test_checkpoints_without_their_settings_are_refused(tmp_path, content):
    chosen, plan = planned(tmp_path, schedule={"iterations": 7})
    plan.checkpoints.mkdir()
    (plan.checkpoints / checkpoint_name(3)).write_bytes(b"")
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match="expected the settings that the run began with"):
        prepare(chosen, plan, resume=True)


def test_a_resume_without_a_checkpoint_is_a_start_that_is_said(tmp_path, caplog):
    caplog.set_level(logging.WARNING, "pretrain")
    prepare(*planned(tmp_path / "run"), resume=True)
    assert "starting at the beginning" in caplog.text
