"""The trainings of the comparison: their commands, and that a cell is trained once and never mistaken for another."""

import json

import pytest

from benchmarks.learning.cells import Cell, Length, check_same, processor_seconds, snapshots, train
from benchmarks.outputs import Failed
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import load_settings

LENGTH = Length(iterations=2, batch=4, size=32, looks=2)
CELL = Cell("simclr", "simclr_r18_any_100e", 1, ("objective.temperature=0.3",))


def test_the_command_says_everything_that_the_cell_is(tmp_path):
    command = CELL.command(tmp_path / "train", tmp_path, LENGTH)
    settings = load_settings(read_config(command[3], command[command.index("--cfg-options") + 1 :]))
    assert settings.method == "simclr"
    assert (settings.schedule.iterations, settings.data.batch, settings.views.size, settings.run.seed) == (2, 4, 32, 1)
    assert settings.objective.temperature == 0.3
    assert settings.run.checkpoint_every == 1
    assert settings.run.keep > LENGTH.looks


def test_a_cell_is_trained_once(cifar10, tmp_path):
    train(CELL, cifar10 / "train", tmp_path, LENGTH)
    assert [path.name for path in snapshots(CELL, tmp_path)] == ["iteration_00000001.pth", "iteration_00000002.pth"]
    seconds = processor_seconds(CELL.folder(tmp_path))
    assert seconds > 0
    train(CELL, tmp_path / "gone", tmp_path, LENGTH)  # would fail if anything were read
    assert processor_seconds(CELL.folder(tmp_path)) == seconds


def test_a_training_that_fails_is_one_line(tmp_path):
    with pytest.raises(Failed, match=r"simclr, seed 1: the training ended with 1: .*gone"):
        train(CELL, tmp_path / "gone", tmp_path, LENGTH)


def test_another_cell_in_the_same_folder_is_refused(tmp_path):
    file = tmp_path / "cell.json"
    check_same(file, {"seed": 1, "options": ("a=1",), "command": "old"})
    check_same(file, {"seed": 1, "options": ("a=1",), "command": "new"})  # says the same in other words
    with pytest.raises(Failed, match="found another options; take another --out"):
        check_same(file, {"seed": 1, "options": ("a=2",), "command": "old"})
    assert json.loads(file.read_text())["options"] == ["a=1"]
