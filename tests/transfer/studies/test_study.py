"""A study from its file to its report, through the real commands: two starts of two iterations."""

import json
import os
from pathlib import Path

import pytest
import yaml

import transfer
from tests.cases.finetuning import TINY
from transfer.__main__ import main

ROOT = Path(__file__).parents[3]
# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def study(data, tmp_path_factory):
    """A study file of random weights under two names."""
    content = {
        "data": {"train": list(data[1:3]), "val": list(data[4:6])},
        "starts": {"random": "random", "again": "random"},
        "seeds": [0],
        "labels": ["50%", "100%"],
        "detector": {
            "config": "any_mask_rcnn_R_18_FPN_small",
            "options": dict(zip(TINY[::2], TINY[1::2], strict=True)),
        },
    }
    file = tmp_path_factory.mktemp("study") / "study.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture(autouse=True)
def _commands_import_this_project(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


def test_what_is_missing_is_run_once_all_is_reported_on_and_what_fails_is_named(study, tmp_path, capsys):
    out = tmp_path / "out"
    first = transfer.study(study, out, only=["random"], jobs=2)
    assert first.done == first.cells == ("random/0/50%", "random/0/100%")
    assert (first.failed, first.report) == ((), None)  # a part of the cells writes no report
    outcome = transfer.study(study, out, jobs=2)
    assert len(outcome.done) == 4
    assert outcome.report == out / "report"
    records = json.loads((out / "report/results.json").read_text())
    assert {(r["init"], r["label_fraction"]) for r in records} == {
        (s, f) for s in ("random", "again") for f in (0.5, 1.0)
    }
    same = [[r["metrics"] for r in records if r["init"] == name] for name in ("random", "again")]
    assert same[0] == same[1]  # two names of one thing
    attempts = list((out / "logs").glob("*.times.json"))
    assert len(attempts) == 4
    assert all(len(json.loads(file.read_text())) == 1 for file in attempts)
    assert "4 cells: 4 done, 0 left, 0 failed. Nothing left to run." in (out / "study.md").read_text()
    assert main(["study", str(study), "--out", str(out), "--report-only"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["4 of 4 cells done", str(out / "report/report.html")]
    cannot_go_on(out, "again_seed_0_labels_50_percent")
    assert main(["study", str(study), "--out", str(out), "--only", "random/0/50%", "again/0/50%"]) == 1
    captured = capsys.readouterr()
    assert (
        "transfer study: failed: again/0/50%: finetune: transfer.train_net: --resume: expected the config"
        in captured.err
    )
    assert captured.out.endswith("1 of 2 cells done\n")


def cannot_go_on(out, cell):
    """Take away a cell's record, and let its run's settings be others."""
    (folder,) = (out / "finetune").glob(f"{cell}*")
    (folder / "record.json").unlink()
    settings = folder / "config.yaml"
    settings.write_text(settings.read_text().replace("BASE_LR: ", "BASE_LR: 1"))


def test_a_bad_study_is_one_line_and_leaves_nothing(study, tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text(study.read_text().replace("labels:", "lables:"))
    assert main(["study", str(bad), "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("expected a known key, found lables; did you mean labels?")
    assert not (tmp_path / "out").exists()
