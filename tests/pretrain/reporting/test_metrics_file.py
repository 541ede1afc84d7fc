import json

from pretrain.reporting.metrics_file import MetricsFile


def written(path):
    file = MetricsFile(path)
    for iteration in (10, 20, 30):
        file.append(iteration, {"loss": 1 / iteration})
    file.append(20, {"knn": 50.0})
    return file


def test_lines_are_read_in_the_order_of_their_iterations(tmp_path):
    file = written(tmp_path / "metrics.jsonl")
    assert [line["iteration"] for line in file.read()] == [10, 20, 20, 30]
    assert file.values("loss") == [0.1, 0.05, 1 / 30]
    assert file.values("knn") == [50.0]
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1]) == {"iteration": 20, "knn": 50.0}


def test_what_a_resumed_run_does_again_is_dropped_and_so_is_half_a_line(tmp_path):
    file = written(tmp_path / "metrics.jsonl")
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"iteration": 15, "lo')
    assert [line["iteration"] for line in file.read()] == [10, 20, 20, 30]
    file.drop_after(20)
    assert [line["iteration"] for line in file.read()] == [10, 20, 20]
    file.drop_after(0)
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_no_file_is_an_empty_one(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.drop_after(3)
    assert file.read() == file.values("loss") == []
