"""The evaluation benchmark on a handful of images: what it builds, that it measures, and that it checks first."""

import json

import pytest

from benchmarks import evaluate
from benchmarks.sets import detections


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return detections.build(tmp_path_factory.mktemp("set"), images=3, per_image=20)


def test_it_measures_both_engines_and_the_whole_way(files):
    rows = evaluate.measure(*files, rounds=1)
    assert list(rows) == ["bbox", "segm", "files to record"]
    for row in rows.values():
        assert row["ratio"] == pytest.approx(row["seconds_pycocotools"] / row["seconds"])
        assert row["n"] == 1
    assert evaluate.as_table(rows).count("\n") == 4
    record = json.loads((files[0].parent / "record.json").read_text())
    assert 5 < record["metrics"]["segm"]["AP"] < 95


def test_times_of_engines_that_disagree_are_not_shown(files, monkeypatch):
    monkeypatch.setattr(evaluate.hotcoco, "COCOeval", Wrong)
    with pytest.raises(RuntimeError, match="bbox: the engines disagree"):
        evaluate.measure(*files, rounds=1)


class Wrong(evaluate.COCOeval):
    """An engine that finds nothing."""

    def __init__(self, reference, results, task):
        self.eval = {"precision": 0.0}

    def evaluate(self):
        pass

    accumulate = evaluate
