"""The comparison with Detectron2's own trainer: what is timed, the ratios, the table. No time decides anything."""

import json

import pytest

from benchmarks import finetune as benchmark
from benchmarks.finetune import Size, spent
from benchmarks.outputs import Failed


def test_a_process_is_timed_to_its_end(tmp_path):
    one = spent(["-c", "import time; time.sleep(0.2); print('x')"], tmp_path / "log.txt")
    assert 0.2 <= one.wall < 60
    assert 0 < one.cpu < one.wall + 1
    assert (tmp_path / "log.txt").read_text() == "x\n"


def test_a_process_that_fails_is_one_line(tmp_path):
    with pytest.raises(Failed, match="expected it to end with 0, found 3: so it is"):
        spent(["-c", "import sys; print('so it is'); sys.exit(3)"], tmp_path / "log.txt")


def test_lines_of_the_log_are_read_with_their_times(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tmp_path / "run")
    for step, at in ((19, 100.0), (39, 104.0), (59, 109.0)):
        writer.add_scalar(benchmark.LOGGED, 1.0, step, walltime=at)
    writer.close()
    assert benchmark.logged(tmp_path / "run") == [(19, 100.0), (39, 104.0), (59, 109.0)]
    with pytest.raises(Failed, match="expected at least two lines"):
        benchmark.logged(tmp_path)


def test_both_sides_get_the_same_set_and_seconds_are_split(tmp_path, monkeypatch):
    """Ten seconds of start, 0.25 an iteration, seven after the last."""
    calls = []

    def timed(words, log):
        calls.append(words)
        return benchmark.Spent(wall=32.0, cpu=40.0, began=1000.0)

    monkeypatch.setattr(benchmark, "spent", timed)
    monkeypatch.setattr(benchmark, "logged", lambda folder: [(19, 1015.0), (39, 1020.0), (59, 1025.0)])
    figures = benchmark.training(Size(pairs=2, iterations=60), tmp_path, tmp_path / "digits")
    assert [words[1] for words in calls] == ["transfer", *["benchmarks.stock_detectron2"] * 2, "transfer"]
    annotations = str(tmp_path / "digits/coco/annotations/instances_val.json")
    assert all(annotations in words for words in calls)
    assert str(tmp_path / "ours_0/config.yaml") in calls[1]
    medians = {name: row["ours"]["median"] for name, row in figures["rows"].items()}
    assert medians["an iteration"] == 0.25
    assert medians["before the first iteration"] == 10.0
    assert medians["after the last iteration"] == 7.0
    assert figures["rows"]["whole"]["ratio"]["median"] == 1.0


def test_the_ratio_is_theirs_over_ours_in_each_pair():
    rows = benchmark._compared({"ours": [{"a": 1.0}, {"a": 2.0}], "stock": [{"a": 2.0}, {"a": 6.0}]})["rows"]
    assert rows["a"]["ratio"]["median"] == 2.5


def test_the_table_has_a_row_for_each_kind_of_seconds():
    spread = {"median": 0.5, "low": 0.25, "high": 1.5, "n": 3}
    machine = {"device": "CPU", "cores": 2, "threads": 2, "torch": "2", "load": 0.0}
    row = {"ours": spread, "stock": {**spread, "median": 1.0}, "ratio": {**spread, "median": 2.0}}
    start = {"python -m transfer --help": {"target": 0.3, "wall": spread, "cpu": spread}}
    figures = {"machine": machine, "size": vars(Size()), "training": {"rows": {"an iteration": row}}, "start": start}
    text = benchmark.as_text(figures)
    cells = [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]
    assert cells == ["an iteration", "0.500", "0.250 to 1.500", "1.000", "0.250 to 1.500", "2.00"]
    assert "python -m transfer --help" in text


def test_wrong_words(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--iterations", "10"])
    assert "expected at least 40, found 10" in capsys.readouterr().err


@pytest.mark.slow
def test_the_quick_size_for_real(tmp_path, capsys):
    assert benchmark.main(["--quick", "--json", str(tmp_path / "out.json")]) == 0
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["training"]["rows"]["an iteration"]["ratio"]["median"] > 0
    assert figures["prediction"]["rows"]["whole"]["ratio"]["n"] == 1
    assert set(figures["start"]) >= {"python -m transfer --help"}
    assert "theirs / ours" in capsys.readouterr().out
