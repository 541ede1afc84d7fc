"""The benchmark of the meta step gives a complete table and adds up memory rightly. No time decides anything."""

import json

import pytest
import torch

from benchmarks.meta_step import main
from benchmarks.modes import MODES

CPU = torch.device("cpu")
MODE = {mode.name: mode for mode in MODES}


@pytest.mark.slow
def test_the_quick_run_gives_a_complete_table(tmp_path, images, capsys):
    outputs = [tmp_path / "figures.json", tmp_path / "table.md"]
    small = ["--truth-size", "32", "--truth-n", "4", "--truth-steps", "6", "--truth-every", "2", "--truth-others", "2"]
    arguments = ["--quick", "--truth", str(images), *small, "--json", str(outputs[0]), "--markdown", str(outputs[1])]
    assert main(arguments) == 0
    figures = json.loads(outputs[0].read_text())
    assert {"threads", "torch", "device"} <= figures["machine"].keys()
    (case,) = figures["cases"]
    assert [row["mode"] for row in case["rows"]] == list(MODE)
    for row in case["rows"]:
        assert row["time"]["low"] <= row["time"]["median"] <= row["time"]["high"]
        assert row["time"]["n"] == 2
        assert row["memory"] >= 1
    for row in figures["truth"]["rows"].values():
        assert row["n"] > 0
        assert row["knn"] is None
    text = outputs[1].read_text()
    assert text == capsys.readouterr().out
    assert all(name in text for name in MODE)


def test_a_missing_folder_is_said_before_anything_is_measured(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--json", str(tmp_path / "nowhere" / "out.json")])
    assert "expected an existing folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--case", "resnet18:64"])
    assert "expected ARCH:SIZE:N" in capsys.readouterr().err
    assert main(["--quick", "--truth", str(tmp_path / "none")]) == 1
    assert "found no folder" in capsys.readouterr().err
