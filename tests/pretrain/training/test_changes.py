"""What a resumed run says of settings, images, versions and code that are no longer those it began with."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import pretrain
from pretrain.__main__ import main
from pretrain.settings.schema import Settings, as_plain
from pretrain.training import changes
from pretrain.training.changes import source_fingerprint
from pretrain.training.checkpoint_files import find_checkpoints
from tests.cases.finished_runs import SHORT, one_line
from tests.cases.runs import arguments


def test_the_fingerprint_sees_every_module_of_every_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.py").write_text("x = 1")
    deep = tmp_path / "folder" / "b.py"
    deep.write_text("y = 1")
    fingerprints = {source_fingerprint(tmp_path)}
    deep.write_text("y = 2")
    fingerprints.add(source_fingerprint(tmp_path))
    deep.rename(tmp_path / "b.py")
    fingerprints.add(source_fingerprint(tmp_path))
    (tmp_path / "a.py").unlink()
    fingerprints.add(source_fingerprint(tmp_path))
    assert len(fingerprints) == 4


def test_the_fingerprint_of_the_package_is_that_of_its_folder():
    assert source_fingerprint() == source_fingerprint(Path(pretrain.__file__).parent)


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


def test_every_setting_that_does_not_matter_exists():
    known = {f"{section}.{key}" for section, v in as_plain(Settings()).items() if isinstance(v, dict) for key in v}
    assert {"method", *known} >= changes.HARMLESS | changes.FIXED
