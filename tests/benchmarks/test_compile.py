"""The benchmark of the compiled step times in turn and gives a complete table. No time decides anything."""

import json

import pytest
import torch

from benchmarks import compile as benchmark
from pretrain.errors import InputError

CPU = torch.device("cpu")


def test_the_text_tells_steps_and_compilation_apart():
    spread = {"median": 0.5, "low": 0.25, "high": 1.5, "n": 7}
    case = {
        "case": "tiny",
        "plain": {**spread, "median": 3.0},
        "time": spread,
        "first": {"plain": 4.0, "compiled": 9.0},
    }
    machine = {"device": "GPU", "cores": 2, "threads": 1, "torch": "2", "load": 0.0}
    text = benchmark.as_text({"method": "simclr", "machine": machine, "cases": [case]})
    row = [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]
    assert row == ["tiny", "3.000", "0.50", "0.25 to 1.50", "–", "–"]
    assert "medians of n = 7 pairs; the first compiled step takes 9.0 s, the first plain one 4.0 s" in text


def test_what_cannot_be_measured_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    with pytest.raises(SystemExit):
        benchmark.main(["--json", str(tmp_path / "nowhere" / "out.json")])
    assert "expected an existing folder" in capsys.readouterr().err

    def none_here(device):
        raise InputError("no compiler")

    monkeypatch.setattr(benchmark, "check_compiler", none_here)
    assert benchmark.main(["--quick", "--json", str(tmp_path / "out.json")]) == 1
    assert capsys.readouterr() == ("", "benchmarks.compile: no compiler\n")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on its way through inductor
def test_the_quick_run_gives_a_complete_table(quick, tmp_path, capsys):
    outputs = [tmp_path / "figures.json", tmp_path / "table.md"]
    assert benchmark.main(["--quick", "--json", str(outputs[0]), "--markdown", str(outputs[1])]) == 0
    figures = json.loads(outputs[0].read_text())
    (case,) = figures["cases"]
    assert (case["method"], case["time"]["n"], case["cpu_time"]["n"]) == ("simclr", 2, 2)
    assert case["time"]["low"] <= case["time"]["median"] <= case["time"]["high"]
    assert set(case["first"]) == {"plain", "compiled"}
    text = capsys.readouterr().out
    assert text == outputs[1].read_text()
    assert f"{case['time']['median']:.2f}" in text
