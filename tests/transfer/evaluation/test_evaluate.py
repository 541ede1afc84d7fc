"""``transfer.evaluate``: files or values in, a record out."""

import json

import numpy as np
import pytest

from tests.cases import detection_sets
from tests.cases.records import make_record
from transfer.errors import InputError
from transfer.evaluation.evaluate import evaluate
from transfer.records import record_file
from transfer.records.record import Data


@pytest.fixture(scope="module")
def content():
    return detection_sets.make(0, images=6)


def test_values_in_memory_are_measured_as_their_files_are(content, tmp_path):
    files = detection_sets.write(tmp_path, *content)
    from_files, in_memory = evaluate(*files), evaluate(*content)
    assert from_files.metrics["segm"]["AP"] > 1
    assert in_memory.metrics == from_files.metrics
    assert in_memory.per_class == from_files.per_class
    assert in_memory.counts == from_files.counts
    assert (from_files.name, from_files.detections) == ("results", str(files[1]))
    assert (in_memory.detections, in_memory.detections_sha256) == (None, None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ann.json", "results.json"]  # nothing was written


def test_numpys_numbers_are_numbers(content):
    as_numpy = [
        {**entry, "bbox": np.array(entry["bbox"]), "score": np.float64(entry["score"]), "image_id": np.int64(i)}
        for entry in content[1]
        for i in [entry["image_id"]]
    ]
    assert evaluate(content[0], as_numpy).metrics == evaluate(*content).metrics


def test_the_record_that_is_written_is_the_one_returned(content, tmp_path):
    files = detection_sets.write(tmp_path / "set", *content)
    record = evaluate(*files, out=tmp_path / "records/mine.json", init="byol", seed=3)
    written = record_file.read(tmp_path / "records/mine.json")
    assert (written.name, written.init, written.seed) == ("mine", "byol", 3)
    assert written.metrics == record.metrics
    assert json.loads((tmp_path / "records/mine.json").read_text())["detections"] == "../set/results.json"


def test_a_run_lends_its_training_and_its_files(content, tmp_path):
    files = detection_sets.write(tmp_path / "run", *content)
    known = make_record("metamask", seed=2, detections="results.json")
    known = make_record("metamask", seed=2, detections="results.json", data=Data(None, known.data.val))
    record_file.write(tmp_path / "run/record.json", known)
    record = evaluate(files[0], run=tmp_path / "run")
    assert (record.name, record.init, record.seed) == (known.name, "metamask", 2)
    assert (record.schedule, record.weights) == (known.schedule, known.weights)
    assert record.data.train is None
    assert record.data.val.annotations == str(files[0])  # another ground truth than the run's
    assert evaluate(files[0], run=tmp_path / "run", init="random").weights is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "cocoapi"}, "no such engine: expected one of hotcoco, pycocotools, found cocoapi"),
        ({"name": "two\nlines"}, "--name: expected a text of one line, found 'two\\nlines'"),
        ({"init": " "}, "--init: expected a text of one line, found ' '"),
        ({"detections": None}, "nothing to measure: expected --detections RESULTS.json, found none"),
        ({"ground_truth": None}, "nothing to measure: expected --gt ANN.json, found none"),
        ({"ground_truth": []}, "the ground truth given: expected"),
        ({"detections": [{"score": 2}]}, "the detections given: detection 0: expected"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(content, options, message):
    with pytest.raises(InputError) as error:
        evaluate(**({"ground_truth": content[0], "detections": content[1]} | options))
    assert message in str(error.value)


def test_a_record_in_the_way_is_kept(content, tmp_path):
    (tmp_path / "r.json").write_text("mine")
    with pytest.raises(InputError, match="is taken"):
        evaluate(*content, out=tmp_path / "r.json")
    assert (tmp_path / "r.json").read_text() == "mine"
    evaluate(*content, out=tmp_path / "r.json", force=True)
    assert record_file.read(tmp_path / "r.json").name == "r"
