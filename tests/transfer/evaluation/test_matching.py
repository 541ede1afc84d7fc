"""Which detection stands for which object, against pycocotools' own matching and against taking turns one by one."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.cases import detection_sets
from tests.transfer.evaluation.test_engines import read
from transfer.evaluation import matching
from transfer.evaluation.objects import Objects
from transfer.evaluation.weighted_ap import THRESHOLDS


def theirs(truth, results, task):
    """(image id, class id) -> (matched, ignored) at every threshold, detections by score."""
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {**truth, "annotations": [a | {"id": i} for i, a in enumerate(truth["annotations"], 1)]}
        reference.createIndex()
        other = {"bbox": "segmentation", "segm": "bbox"}[task]
        run = COCOeval(
            reference, reference.loadRes([{k: v for k, v in e.items() if k != other} for e in results]), task
        )
        run.params.areaRng, run.params.areaRngLbl = run.params.areaRng[:1], ["all"]
        run.evaluate()
    whole = [entry for entry in run.evalImgs if entry is not None and entry["dtScores"]]
    return {
        (e["image_id"], e["category_id"]): (e["dtMatches"] > 0, e["dtIgnore"], np.array(e["dtScores"])) for e in whole
    }


@pytest.mark.parametrize("pairs", [matching.PAIRS, 40])  # all at once, and few images at a time
@pytest.mark.parametrize("task", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(3))
def test_at_every_threshold_it_is_pycocotools_matching(tmp_path, monkeypatch, seed, task, pairs):
    monkeypatch.setattr(matching, "PAIRS", pairs)
    raw, results = detection_sets.make(seed)
    truth, detections = read(tmp_path, raw, results)
    objects = Objects(truth, task)
    matches = matching.match(objects, detections, THRESHOLDS.tolist())
    expected = theirs(raw, results, task)
    compared = 0
    for (image, category), (matched, ignored, scores) in expected.items():
        k = list(truth.classes).index(category)
        here = (objects.images[matches.image] == truth.image_numbers[image]) & (matches.category == k)
        np.testing.assert_array_equal(matches.score[here], scores)
        np.testing.assert_array_equal(matches.ignored[:, here], ignored.astype(bool))
        np.testing.assert_array_equal(matches.object[:, here] >= 0, matched & ~ignored.astype(bool))
        compared += here.sum()
    assert compared == len(matches.score) > 100
    assert matches.ignored.any()
    for t in range(len(THRESHOLDS)):
        taken = matches.object[t][matches.object[t] >= 0]
        assert len(set(taken.tolist())) == len(taken)


@pytest.mark.parametrize("seed", range(20))
def test_asking_all_at_once_ends_as_taking_turns(seed):
    rng = np.random.default_rng(seed)
    rows, columns = 30, 12
    wishes = [rng.permutation(columns)[: rng.integers(0, columns)].tolist() for _ in range(rows)]
    row = np.array([r for r, wished in enumerate(wishes) for _ in wished], np.int64)
    column = np.array([c for wished in wishes for c in wished], np.int64)
    chosen = np.full(rows, -1, np.int64)
    matching._in_turn(row, column, columns, chosen)
    free, expected = set(range(columns)), []
    for wished in wishes:
        expected.append(next((c for c in wished if c in free), -1))
        free.discard(expected[-1])
    assert chosen.tolist() == expected
