"""Checkpoints of a real run: damaged, on a full disk, of weights that are not finite."""

import logging
import os

import pytest

from pretrain.training.checkpoint_files import damage, find_checkpoints
from tests.cases.finished_runs import one_line


def cut_short(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [cut_short, flip_a_bit, empty], ids=lambda f: f.__name__)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(run, harm, caplog):
    """And the run ends with the very same file."""
    before, newest = find_checkpoints(run.work / "checkpoints")
    assert damage(newest) is None
    newest.write_bytes(newest.read_bytes())  # a file of its own: best.pth may be another name of it
    harm(newest)
    (run.work / "backbone.safetensors").unlink()
    caplog.set_level(logging.INFO, "pretrain")
    assert run() == 0
    assert f"{newest} is damaged" in caplog.text
    assert f"resuming from {before}" in caplog.text
    assert run.ended_as_before()


def test_nothing_but_damaged_checkpoints_is_an_error(run, capsys):
    for path in find_checkpoints(run.work / "checkpoints"):
        cut_short(path)
    assert run() == 1
    assert "found all 2 damaged" in one_line(capsys)


def test_a_full_disk_is_one_line_and_leaves_the_checkpoint_before(run, capsys):
    """``/dev/full`` is a disk without room: the write to it fails as it would there."""
    first, last = find_checkpoints(run.work / "checkpoints")
    last.unlink()
    partial = run.work / "checkpoints" / f".{last.name}.partial"
    from pretrain.training.checkpoints import Checkpoints

    def full(hook, runner, original=Checkpoints.before_train):
        original(hook, runner)  # it clears away what a kill left
        partial.symlink_to("/dev/full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "before_train", full)
        assert run() == 1
    line = one_line(capsys)
    assert "No space left on device" in line
    assert f"the last good checkpoint is {first}" in line
    assert find_checkpoints(run.work / "checkpoints") == [first]
    assert damage(first) is None
    assert not list((run.work / "checkpoints").glob(".*"))
    assert run() == 0
    assert run.ended_as_before()


def test_weights_that_are_not_finite_are_never_saved(run, capsys):
    """A finite loss at the last iteration says nothing of the weights after it."""
    checkpoints = find_checkpoints(run.work / "checkpoints")
    checkpoints[-1].unlink()
    assert run("--allow-change", options=["optimizer.lr=1e39", "schedule.warmup_epochs=0"]) == 1
    line = one_line(capsys)
    assert "no longer finite after iteration 3" in line
    assert str(checkpoints[0]) in line
    assert find_checkpoints(run.work / "checkpoints") == checkpoints[:1]
