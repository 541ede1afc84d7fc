import dataclasses
import json

import pytest

from tests.cases.records import make_record
from transfer.errors import InputError
from transfer.records import record_file
from transfer.records.record import ALL_METRICS


def record(**changes):
    return make_record("metamask", **{"segm": dict.fromkeys(ALL_METRICS)} | changes)


def test_what_is_written_reads_back_equal(tmp_path):
    record_file.write(tmp_path / "run" / "record.json", record())
    assert record_file.read(tmp_path / "run") == record()
    assert record_file.read(tmp_path / "run" / "record.json") == record()
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["record.json"]


def test_not_measured_is_null_in_the_file(tmp_path):
    record_file.write(tmp_path / "record.json", record())
    content = json.loads((tmp_path / "record.json").read_text())
    assert content["metrics"]["bbox"]["APs"] is None
    assert content["metrics"]["bbox"]["AP75"] == 0
    assert next(iter(content)) == "schema"


def edit(content, path, value):
    *parents, last = path
    for key in parents:
        content = content[key]
    if value is KeyError:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ["schema"],
            "transfer.record/3",
            "newer: expected transfer.record/2, found transfer.record/3; update",
        ),
        (
            ["schema"],
            "transfer.record/1",
            "older: expected transfer.record/2, found transfer.record/1; measure",
        ),
        (["schema"], "coco", 'schema: expected transfer.record/2, found "coco"'),
        (["schema"], KeyError, 'no run record: expected an object with "schema"'),
        (["seed"], KeyError, "a field is missing: expected seed"),
        (["colour"], "red", "a field is unknown: .* found colour"),
        (["weights", "loaded"], "100", 'weights.loaded: expected a whole number, found "100"'),
        (["weights", "sha256"], KeyError, "weights: a field is missing: expected sha256"),
        (["weights", "metadata"], {"lr": float("inf")}, "weights.metadata.lr: expected plain JSON values"),
        (["init"], "random", 'expected weights null when init is "random", found a.pth'),
        (["weights"], None, None),
        (["data", "train"], None, None),
        (["data", "val"], None, "data.val: expected an object, found null"),
        (["schedule"], None, None),
        (["config"], None, None),
        (["data", "val", "classes", 1], 5, r"data.val.classes\[1\]: expected text, found 5"),
        (["data", "val"], [], r"data.val: expected an object, found \[\]"),
        (["metrics", "bbox", "AP"], -1.0, r"metrics.bbox.AP: expected a number in 0-100 or null, found -1.0"),
        (["metrics", "bbox", "AP"], 100.1, "found 100.1"),
        (["metrics", "bbox", "AP"], float("nan"), "metrics.bbox.AP: expected a finite number, found nan"),
        (["metrics", "bbox", "AP"], "12", 'metrics.bbox.AP: expected a number, found "12"'),
        (["metrics", "bbox", "AP"], True, "metrics.bbox.AP: expected a number, found true"),
        (["metrics", "segm"], KeyError, "metrics: a field is missing: expected segm"),
        (["metrics", "bbox", "mAP"], 1.0, "metrics.bbox: a field is unknown: .* found mAP"),
        (["per_class", "bbox", "zero"], -1.0, "per_class.bbox.zero"),
        (["schedule", "steps"], {}, "schedule.steps: expected a list, found {}"),
        (["seconds", "train"], None, None),
        (["seed"], None, None),
        (["label_fraction"], 0.0, "label_fraction: expected more than 0"),
        (["label_fraction"], 1, None),
        (["label_fraction"], None, None),
        (["protocol"], "mine", 'protocol: expected one of coco, lvis, cityscapes, voc2007, voc2012, found "mine"'),
        (["tide", "segm"], KeyError, "tide: a field is missing: expected segm"),
        (["tide", "segm"], {"ap50": 5.0}, "tide.segm: a field is missing"),
        (["counts", "objects"], 1.5, "counts.objects: expected a whole number, found 1.5"),
        (["cost", "flops"], None, None),
    ],
)
def test_a_file_that_is_no_record_of_this_schema_is_refused_in_one_line(tmp_path, path, value, message):
    content = record_file.to_json(record())
    edit(content, path, value)
    file = tmp_path / "record.json"
    file.write_text(json.dumps(content))
    if message is None:
        record_file.read(file)
        return
    with pytest.raises(InputError, match=message) as caught:
        record_file.read(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read"), (b"{", "cannot be read"), (b"\xff\xfe", "cannot"), (b"[]", "no run")],
)
def test_a_file_that_is_no_json_object_is_refused(tmp_path, content, message):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        record_file.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_without_a_record_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"record.json is missing: expected a finished run's record"):
        record_file.read(tmp_path)


def test_a_record_that_would_not_read_back_is_not_written(tmp_path):
    record_file.write(tmp_path / "record.json", record())
    bad = dataclasses.replace(record(), metrics={"bbox": dict.fromkeys(ALL_METRICS, float("nan")), "segm": {}})
    with pytest.raises(InputError, match=r"metrics.bbox.AP: expected a finite number"):
        record_file.write(tmp_path / "record.json", bad)
    assert record_file.read(tmp_path) == record()
