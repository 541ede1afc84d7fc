"""What can go wrong with a run's files: damage, a full disk, weights that are not finite, and changed circumstances."""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch

from pretrain.__main__ import main
from pretrain.backbones import load_backbone
from pretrain.training import changes
from pretrain.training.checkpoint_files import damage, find_checkpoints
from tests.cases.runs import arguments, write_inputs

SHORT = ["data.workers=0", "schedule.iterations=3", "run.checkpoint_every=1", "method=simclr"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(inputs, work folder) of a run of three iterations with checkpoints after the last two."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder)
    assert main(arguments(folder, folder / "run", options=SHORT)) == 0
    return folder, folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, and how to go on there."""
    shutil.copytree(finished[1], tmp_path / "run")

    def again(*flags, options=(), resume="--resume"):
        return main(arguments(finished[0], tmp_path / "run", resume, *flags, options=[*SHORT, *options]))

    again.work = tmp_path / "run"
    again.ended_as_before = lambda: same_weights(tmp_path / "run", finished[1])
    return again


def same_weights(work, other):
    a, b = (load_backbone(w / "backbone.safetensors")[0].state_dict() for w in (work, other))
    return all(torch.equal(a[k], b[k]) for k in a)


def one_line(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("pretrain: ")
    return lines[0]


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
    assert run("--allow-change", options=["optimizer.lr=1e39", "schedule.warmup_share=0"]) == 1
    line = one_line(capsys)
    assert "no longer finite after iteration 3" in line
    assert str(checkpoints[0]) in line
    assert find_checkpoints(run.work / "checkpoints") == checkpoints[:1]


def test_a_non_finite_loss_names_its_files_and_the_last_good_checkpoint(finished, tmp_path, capsys):
    options = [*SHORT, "optimizer.lr=1e30", "schedule.warmup_share=0", "run.checkpoint_every=1"]
    assert main(arguments(finished[0], tmp_path / "run", options=options)) == 1
    line = one_line(capsys)
    assert "the loss became nan at iteration" in line
    assert "the last good checkpoint is" in line
    (listed,) = (tmp_path / "run").glob("nonfinite_*.txt")
    names = listed.read_text().splitlines()
    assert len(names) == 4
    assert all(Path(name).is_file() for name in names)


def test_what_changes_the_result_is_refused_and_said(run, finished, capsys):
    assert run(options=["optimizer.lr=0.5", "run.seed=3"]) == 1
    line = one_line(capsys)
    assert "optimizer.lr (0.01 then, 0.5 now)" in line
    assert "run.seed (0 then, 3 now)" in line
    assert "--allow-change" in line
    other = run.work.parent / "other"
    shutil.copytree(finished[0] / "images", other / "images")
    shutil.copy(finished[0] / "tiny.py", other)
    (other / "images" / "13.png").unlink()
    assert main(arguments(other, run.work, "--resume", options=SHORT)) == 1
    assert "the images (14 in " in one_line(capsys)


def test_another_version_is_refused_and_other_code_or_processes_are_said(run, capsys, caplog):
    saved = run.work / "run.json"
    record = json.loads(saved.read_text())
    saved.write_text(json.dumps({**record, "versions": {**record["versions"], "torch": "1.0"}}))
    assert run() == 1
    assert "torch's version (1.0 then, " in one_line(capsys)
    saved.write_text(json.dumps({**record, "processes": 4, "source": "another"}))
    assert run() == 0
    assert "the number of processes (4 then, 1 now): the result stays the same" in caplog.text
    assert "the code of pretrain (another then, " in caplog.text


def test_settings_that_only_show_or_keep_may_change(run, caplog):
    assert run(options=["run.log_every=2", "data.max_unreadable=0.5"]) == 0
    assert "run.log_every (1 then, 2 now): the result stays the same" in caplog.text
    assert run.ended_as_before()


def test_an_allowed_change_takes_hold(run, finished):
    """A longer schedule and another momentum, from iteration 3 on: the learning rate is the new schedule's."""
    longer = ["schedule.iterations=6", "optimizer.momentum=0.5", "run.log_every=1"]
    assert run("--allow-change", options=longer) == 0
    lines = [json.loads(line) for line in (run.work / "metrics.jsonl").read_text().splitlines()]
    fresh = finished[0] / "fresh"
    assert main(arguments(finished[0], fresh, options=[*SHORT, *longer])) == 0
    expected = [json.loads(line) for line in (fresh / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["lr"] for line in lines[3:]] == pytest.approx([line["lr"] for line in expected[3:]])
    newest = torch.load(find_checkpoints(run.work / "checkpoints")[-1], weights_only=True)
    assert newest["optimizer"]["lower"]["param_groups"][0]["momentum"] == 0.5
    (change,) = json.loads((run.work / "run.json").read_text())["changes"]
    assert change["after"] == "iteration_00000003.pth"
    assert "optimizer.momentum (0.9 then, 0.5 now)" in change["what"]


def test_other_networks_are_refused_even_so(run, capsys):
    before = (run.work / "run.json").read_text()
    for option in ("objective.contrastive_widths=(16,12)", "optimizer.name=adamw"):
        assert run("--allow-change", options=[option]) == 1
        assert f"found others in {option.split('=')[0]} (" in one_line(capsys)
    assert (run.work / "run.json").read_text() == before
    assert run("--allow-change", options=["objective.redundancy=1.0"]) == 1  # builds one more head
    assert "of another shape" in one_line(capsys)


def test_resume_begins_where_nothing_was_saved_and_mends_a_torn_log(finished, tmp_path, caplog):
    work = tmp_path / "run"
    assert main(arguments(finished[0], work, "--resume", options=SHORT)) == 0
    assert "starting at the beginning" in caplog.text
    assert same_weights(work, finished[1])
    find_checkpoints(work / "checkpoints")[-1].unlink()
    with (work / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 3, "lo')  # as a kill leaves it
    assert main(arguments(finished[0], work, "--resume", options=SHORT)) == 0
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3]


def test_every_setting_that_does_not_matter_exists():
    from pretrain.settings.schema import Settings, as_plain

    known = {f"{section}.{key}" for section, v in as_plain(Settings()).items() if isinstance(v, dict) for key in v}
    assert {"method", *known} >= changes.HARMLESS | changes.FIXED
