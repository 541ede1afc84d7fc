"""``python -m transfer evaluate``: the record it writes, and one clear line for every kind of bad input."""

import hashlib
import json
import os

import pytest

from tests.cases import detection_sets
from tests.cases.records import make_record
from transfer.__main__ import main
from transfer.records import record_file
from transfer.records.record import Counts, Data, Split


@pytest.fixture(scope="module")
def content():
    return detection_sets.make(0, images=6)


@pytest.fixture
def files(content, tmp_path):
    return detection_sets.write(tmp_path / "set", *content)


def evaluate(files, out, *words):
    gt, results = files
    return main(["evaluate", "--gt", str(gt), "--detections", str(results), "--out", str(out), *map(str, words)])


def test_the_record_holds_what_was_measured_and_null_for_the_rest(content, files, tmp_path, capsys):
    out = tmp_path / "records" / "mine.json"
    assert evaluate(files, out) == 0
    record = record_file.read(out)
    assert (record.name, record.init, record.seed, record.weights, record.config) == ("mine", "mine", None, None, None)
    assert (record.schedule, record.data.train, record.label_fraction) == (None, None, None)
    assert (record.engine, record.protocol, record.cross_check) == ("hotcoco", "coco", None)
    assert record.data.val.fingerprint == hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert record.data.val.annotations == str(files[0])
    assert record.detections_sha256 == hashlib.sha256(files[1].read_bytes()).hexdigest()
    assert os.path.samefile(out.parent / record.detections, files[1])
    truth, results = content
    crowds = sum(a["iscrowd"] for a in truth["annotations"])
    assert record.counts == Counts(6, len(truth["annotations"]) - crowds, crowds, 5, len(results))
    for task in ("bbox", "segm"):
        assert None not in (record.metrics[task][name] for name in ("AP", "AP50", "AR1", "AR100", "ARs"))
        assert [record.metrics[task][name] for name in ("APr", "AR300")] == [None, None]
        assert list(record.per_class[task]) == [f"class {i}" for i in range(1, 7)]
        assert record.tide[task].ap50 == pytest.approx(record.metrics[task]["AP50"])
    assert record.versions["hotcoco"]
    assert record.seconds.evaluate > 0
    assert record.cost.flops is None
    shown = capsys.readouterr().out
    assert f"{record.metrics['segm']['AP']:.2f}" in shown
    assert str(out) in shown


def test_tasks_engine_name_and_the_cross_check(files, tmp_path, capsys):
    words = ["--tasks", "bbox", "--engine", "pycocotools", "--cross-check", "--name", "a", "--init", "b", "--seed", 3]
    assert evaluate(files, tmp_path / "r.json", *words) == 0
    record = record_file.read(tmp_path / "r.json")
    assert (record.engine, record.name, record.init, record.seed) == ("pycocotools", "a", "b", 3)
    assert record.cross_check < 1e-9
    assert set(record.metrics["segm"].values()) == {None}
    assert (record.tide["segm"], record.per_class["segm"]) == (None, {})
    assert "the engines agree" in capsys.readouterr().out


def test_a_run_is_measured_again_with_what_is_known_of_its_training(files, tmp_path, capsys):
    known = make_record("metamask", seed=2, detections="../set/results.json")
    val = Split("images", str(files[0]), hashlib.sha256(files[0].read_bytes()).hexdigest(), 6, 1, ["x"])
    known = make_record("metamask", seed=2, detections=known.detections, data=Data(known.data.train, val))
    record_file.write(tmp_path / "run" / "record.json", known)
    assert main(["evaluate", "--run", str(tmp_path / "run"), "--out", str(tmp_path / "again.json")]) == 0
    record = record_file.read(tmp_path / "again.json")
    for name in ("name", "init", "seed", "weights", "config", "schedule", "label_fraction", "device", "data"):
        assert getattr(record, name) == getattr(known, name), name
    assert record.metrics["bbox"]["AR10"] is not None
    assert record.detections == "set/results.json"
    assert capsys.readouterr().err == ""


def test_a_voc_run_is_measured_again_by_cocos_rules_which_is_said(files, tmp_path, capsys):
    known = make_record("metamask", detections="../set/results.json", protocol="voc2007", engine="pascal")
    record_file.write(tmp_path / "run" / "record.json", known)
    words = ["--run", str(tmp_path / "run"), "--gt", str(files[0]), "--out", str(tmp_path / "again.json")]
    assert main(["evaluate", *words]) == 0
    record = record_file.read(tmp_path / "again.json")
    assert (record.engine, record.protocol) == ("hotcoco", "coco")
    assert "by coco's rules, not by voc2007's" in capsys.readouterr().err


def test_a_record_that_is_there_is_not_replaced_unasked(files, tmp_path, capsys):
    out = tmp_path / "r.json"
    out.write_text("mine")
    assert evaluate(files, out) == 1
    assert out.read_text() == "mine"
    assert "is taken" in capsys.readouterr().err
    assert evaluate(files, out, "--force") == 0
    assert record_file.read(out).name == "r"


@pytest.mark.parametrize(
    ("of", "field", "value", "line"),
    [
        (1, "score", 1.5, "detection 7: expected a score, a number in 0-1, found 1.5"),
        (0, "bbox", [1], "four finite numbers (first: annotation 7 [1])"),
    ],
)
def test_bad_content_is_refused_in_one_line_and_nothing_is_written(content, tmp_path, capsys, of, field, value, line):
    truth, results = json.loads(json.dumps(content))
    (truth["annotations"], results)[of][7][field] = value
    files = detection_sets.write(tmp_path / "set", truth, results)
    assert evaluate(files, tmp_path / "out" / "r.json", "--tasks", "bbox", "segm") == 1
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert error.startswith("transfer evaluate: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("which", [0, 1], ids=["ground truth", "detections"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("{", "is no JSON"),
        ("[1, 2", "is no JSON"),
        ("[5]", "expected"),
        ('{"a": 1}', "expected"),
        ("5", "expected"),
        ('"text"', "expected"),
        (None, "is missing"),
    ],
)
def test_a_file_of_another_kind(files, tmp_path, capsys, which, text, message):
    files[which].unlink() if text is None else files[which].write_text(text)
    assert evaluate(files, tmp_path / "r.json") == 1
    error = capsys.readouterr().err
    assert str(files[which]) in error
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "r.json").exists()


def test_files_in_each_others_place(files, tmp_path, capsys):
    assert evaluate(files[::-1], tmp_path / "r.json") == 1
    assert "found a list of detections; are --gt and --detections swapped?" in capsys.readouterr().err
    assert evaluate((files[0], files[0]), tmp_path / "r.json") == 1
    assert "found an annotation file; are --gt and --detections swapped?" in capsys.readouterr().err


def test_masks_are_measured_only_where_there_are_some(content, tmp_path, capsys):
    truth, results = json.loads(json.dumps(content))
    for entry in results:
        del entry["segmentation"]
    files = detection_sets.write(tmp_path / "boxes", truth, results)
    assert evaluate(files, tmp_path / "a.json") == 0
    assert record_file.read(tmp_path / "a.json").metrics["segm"]["AP"] is None
    assert evaluate(files, tmp_path / "b.json", "--tasks", "segm") == 1
    assert (
        'detection 0: expected "segmentation", found only "image_id", "category_id", "score", "bbox"'
        in capsys.readouterr().err
    )
    for entry in truth["annotations"]:
        del entry["segmentation"]
    files = detection_sets.write(tmp_path / "none", truth, content[1])
    assert evaluate(files, tmp_path / "c.json", "--tasks", "segm") == 1
    assert "19 objects without a mask (first: annotation 0)" in capsys.readouterr().err


def test_an_older_record_is_refused_with_what_to_do(files, tmp_path, capsys):
    old = record_file.to_json(make_record()) | {"schema": "transfer.record/1"}
    (tmp_path / "record.json").write_text(json.dumps(old))
    assert evaluate(files, tmp_path / "r.json", "--run", tmp_path) == 1
    assert (
        "the schema is older: expected transfer.record/2, found transfer.record/1; measure" in capsys.readouterr().err
    )


def test_nothing_to_measure(tmp_path, capsys):
    assert main(["evaluate", "--out", str(tmp_path / "r.json")]) == 1
    assert "expected --gt ANN.json, found none; give it" in capsys.readouterr().err


@pytest.mark.parametrize("of", [0, 1])
def test_a_record_never_takes_the_place_of_what_it_is_made_from(files, tmp_path, capsys, of):
    before = files[of].read_bytes()
    words = ["evaluate", "--gt", str(files[0]), "--detections", str(files[1]), "--out", str(files[of]), "--force"]
    assert main(words) == 1
    assert "expected a file beside the inputs" in capsys.readouterr().err
    assert files[of].read_bytes() == before
