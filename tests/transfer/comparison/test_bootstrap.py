import dataclasses
import json

import numpy as np
import pytest

from tests.cases.fake_runs import make_run
from transfer.comparison import bootstrap
from transfer.demo import digits
from transfer.errors import InputError
from transfer.records.record import TASKS, Data
from transfer.records.record_file import read_run

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    digits.write(folder / "data", digits.Settings(size=48, train=1, val=12, unlabeled=1))
    make_run(folder / "random", folder / "data", shift=4)
    make_run(folder / "metamask", folder / "data", "metamask", shift=2)
    return folder


@pytest.fixture(scope="module")
def records(folder):
    return [read_run(folder / name) for name in ("random", "metamask")]


def test_every_run_sees_the_same_resampled_sets(records):
    images = bootstrap.resample([*records, dataclasses.replace(records[0])], 200, 0)
    assert (images.count, images.resamples, images.why) == (12, 200, "")
    first, second, again = images.runs.values()
    np.testing.assert_array_equal(first.metrics["segm", "AP"], again.metrics["segm", "AP"])
    assert not np.array_equal(first.metrics["segm", "AP"], second.metrics["segm", "AP"])
    assert set(first.classes) == {(task, name) for task in TASKS for name in ("zero", "two", "four")}
    spread = first.metrics["bbox", "AP"].std()
    assert 0 < spread < 30
    assert first.metrics["bbox", "AP"].mean() == pytest.approx(records[0].metrics["bbox"]["AP"], abs=spread)


def test_resamples_keep_the_number_of_images_and_depend_on_the_seed():
    drawn = bootstrap.weights(30, 500, 1)
    assert (drawn.sum(axis=1) == 30).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(30), abs=0.25)
    np.testing.assert_array_equal(drawn, bootstrap.weights(30, 500, 1))
    assert not np.array_equal(drawn, bootstrap.weights(30, 500, 2))


def test_runs_without_detections_are_left_out_with_the_reason(records):
    bare = dataclasses.replace(records[0], detections=None, name="bare")
    images = bootstrap.resample([bare, records[1]], 100, 0)
    assert images.of(bare) is None
    assert images.of(records[1]) is not None
    assert images.why == "bare kept no detections"
    assert bootstrap.resample([bare], 100, 0).why == "no run kept its detections"


def test_other_rules_and_changed_files_are_reasons(records, tmp_path):
    assert "cityscapes" in bootstrap.resample([dataclasses.replace(records[0], protocol="cityscapes")], 100, 0).why
    split = dataclasses.replace(records[0].data.val, annotations=str(tmp_path / "gone.json"))
    gone = dataclasses.replace(records[0], data=Data(split, split))
    assert "are not at" in bootstrap.resample([gone], 100, 0).why
    split = dataclasses.replace(records[0].data.val, fingerprint="0" * 64)
    other = dataclasses.replace(records[0], data=Data(split, split))
    assert "is not the file" in bootstrap.resample([other], 100, 0).why


def test_a_record_that_is_not_of_its_detections_is_refused(records):
    metrics = {**records[0].metrics, "segm": {**records[0].metrics["segm"], "AP": 99.0}}
    with pytest.raises(InputError, match=r"expected the detections behind random's record \(segm AP 99\.0\)"):
        bootstrap.resample([dataclasses.replace(records[0], metrics=metrics)], 100, 0)


def test_detections_of_other_images_are_refused(records, tmp_path):
    file = tmp_path / "strange.json"
    file.write_text(json.dumps([{"image_id": 999, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.9}]))
    with pytest.raises(InputError, match="found 999"):
        bootstrap.resample([dataclasses.replace(records[0], detections=str(file))], 100, 0)
