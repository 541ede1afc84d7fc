"""hotcoco, the default engine, against pycocotools, on everything that makes an evaluation hard."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.cases import detection_sets
from transfer.errors import InputError
from transfer.evaluation import detections, engines, ground_truth, measure

PYCOCOTOOLS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def read(folder, truth, results, tasks=None):
    gt, file = detection_sets.write(folder, truth, results)
    truth = ground_truth.read(gt)
    return truth, detections.read(file, truth, tasks)


def plain_pycocotools(truth, results, task):
    """pycocotools as its own page says to use it, on the files' content alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = json.loads(json.dumps(truth))
        for i, annotation in enumerate(reference.dataset["annotations"]):
            annotation["id"] = i + 1  # an object of id 0 is never found by pycocotools
        reference.createIndex()
        key = {"bbox": "segmentation", "segm": "bbox"}[task]  # what the other task would read
        entries = [{k: v for k, v in entry.items() if k != key} for entry in results]
        evaluation = COCOeval(reference, reference.loadRes(entries), task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(PYCOCOTOOLS, evaluation.stats.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_every_metric_equals_pycocotools_own_summary(tmp_path, seed):
    truth, results = detection_sets.make(seed)
    read_truth, read_found = read(tmp_path, truth, results)
    assert read_found.tasks == ("bbox", "segm")
    for engine in engines.ENGINES:
        measured = measure.measure(read_truth, read_found, engine)
        for task in ("bbox", "segm"):
            for name, value in plain_pycocotools(truth, results, task).items():
                ours = measured.metrics[task][name]
                assert ours == (None if value == -1 else pytest.approx(100 * value, abs=1e-9)), (engine, task, name)


@pytest.mark.parametrize("task", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(4))
def test_every_number_behind_the_metrics_is_equal(tmp_path, seed, task):
    truth, results = read(tmp_path, *detection_sets.make(seed, images=9))
    ours, reference = (engine(truth, results, task) for engine in engines.ENGINES.values())
    assert ours.limits == reference.limits == (1, 10, 100)
    assert np.array_equal(ours.recall, reference.recall)
    assert np.allclose(ours.precision, reference.precision, rtol=0, atol=1e-12)


def test_the_sets_are_as_hard_as_they_say():
    truth, results = detection_sets.make(0)
    assert max(sum(d["image_id"] == 104 and d["category_id"] == 2 for d in results) for _ in [0]) > 100
    assert any(a["iscrowd"] for a in truth["annotations"])
    assert {6} == {c["id"] for c in truth["categories"]} - {a["category_id"] for a in truth["annotations"]}
    assert len({d["score"] for d in results}) <= 11
    assert 102 not in {a["image_id"] for a in truth["annotations"]}
    assert 103 not in {d["image_id"] for d in results}
    assert {type(a["segmentation"]) for a in truth["annotations"]} == {list, dict}
    areas = [a["area"] for a in truth["annotations"]]
    assert min(areas) < 32**2 < max(areas)
    assert any(32**2 < area < 96**2 for area in areas)
    assert any(area > 96**2 for area in areas)


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_a_detector_that_found_nothing_has_zero_where_there_was_something(tmp_path, engine):
    truth, results = read(tmp_path, detection_sets.make(0)[0], [])
    measured = measure.measure(truth, results, engine)
    for task in ("bbox", "segm"):
        assert measured.metrics[task]["AP"] == measured.metrics[task]["AR100"] == 0
        assert measured.per_class[task]["class 6"] is None
        assert measured.per_class[task]["class 1"] == 0
        assert measured.tide[task].missed == 0


@pytest.mark.parametrize("lvis", [False, True])
def test_the_cross_check_measures_twice_and_says_how_far_apart(tmp_path, monkeypatch, lvis):
    truth, results = read(tmp_path, *detection_sets.make(1, images=7, lvis=lvis))
    assert measure.measure(truth, results).cross_check is None
    assert measure.measure(truth, results, cross_check=True).cross_check <= measure.TOLERANCE

    def half(*args):
        curves = engines.by_pycocotools(*args)
        return engines.Curves(np.where(curves.precision > 0, curves.precision / 2, -1), curves.recall, curves.limits)

    monkeypatch.setitem(engines.ENGINES, "pycocotools", half)
    with pytest.raises(InputError, match=r"the engines disagree: expected the same bbox AP, found \S+ by hotcoco"):
        measure.measure(truth, results, cross_check=True)


def test_the_area_of_a_mask_is_the_masks_own(tmp_path):
    """Given boxes too, pycocotools would call this thin mask's detection large."""
    truth, _ = detection_sets.make(0, images=1)
    size = (120, 160)
    line = [[2, 2, 110, 110, 111, 110, 3, 2]]
    base = {"image_id": 100, "category_id": 1, "bbox": [2, 2, 109, 108], "segmentation": line}
    truth["annotations"] = [{**base, "area": 110.0, "iscrowd": 0}]
    other = {**base, "score": 0.9, "segmentation": [[1, 110, 110, 110, 110, 111, 1, 111]]}
    measured = measure.measure(*read(tmp_path, truth, [other, {**base, "score": 0.5}]))
    assert size == tuple(truth["images"][0][k] for k in ("height", "width"))
    assert measured.metrics["segm"]["APs"] == pytest.approx(50)
    assert measured.metrics["segm"]["APl"] is None
