"""Class folders from a COCO set, and the table of what each method's features are worth."""

import json

import pytest

from benchmarks.methods import as_table, main, row
from tests.cases.class_folders import folders


def record(accuracy, error):
    return {"results": {"top1": {"accuracy": accuracy, "standard_error": error}}, "effective_rank": {"value": 9.0}}


@pytest.mark.parametrize(("accuracy", "above"), [(30.1, True), (29.9, False)])
def test_two_standard_errors_of_the_difference_decide(accuracy, above):
    line = row("x", record(accuracy, 3.0), {"seconds": 2.0}, record(20.0, 4.0))
    assert line["difference_error"] == 5.0
    assert line["above_random"] is above
    assert ("yes" if above else "no") in as_table([line])


@pytest.mark.slow
def test_a_row_is_trained_judged_and_not_trained_again(tmp_path, capsys):
    data, out = folders(tmp_path, [1] * 12), tmp_path / "runs"
    command = ["--data", str(data), "--out", str(out), "--methods", "byol", "--iterations", "2", "--size", "32"]
    assert main([*command, "--batch", "4", "--json", str(tmp_path / "f.json")]) == 0
    first = (out / "byol" / "backbone.safetensors").stat().st_mtime_ns
    assert main([*command, "--batch", "4"]) == 0
    assert (out / "byol" / "backbone.safetensors").stat().st_mtime_ns == first
    names = [r["name"] for r in json.loads((tmp_path / "f.json").read_text())["rows"]]
    assert names == ["random weights", "byol"]
    assert "| byol " in capsys.readouterr().out
