"""Exact AP under image weights, against pycocotools on sets that really hold the images that often."""

import contextlib
import copy
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from transfer.comparison.matcher import Matcher
from transfer.errors import InputError
from transfer.evaluation import weighted_ap

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SIZE = 100


def square(x, y, side):
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def entry(image, category, x, y, side, **more):
    box = [float(x), float(y), float(side), float(side)]
    fields = {"image_id": image, "category_id": category, "bbox": box, "segmentation": square(x, y, side)}
    return fields | more


def random_set(seed=0, images=12, classes=3):
    """Objects, some crowds, an image without any; detections near and far, no score twice, over 100 in one image."""
    rng = np.random.default_rng(seed)
    truth, results = [], []
    scores = rng.permutation(5000) / 5000
    for image in range(1, images):
        for _ in range(rng.integers(1, 5)):
            category, side = int(rng.integers(1, classes)), int(rng.integers(10, 40))  # the last class has no object
            x, y = (int(v) for v in rng.integers(0, SIZE - side, 2))
            crowd = int(rng.uniform() < 0.15)
            area = float(side * side)
            truth.append(entry(image, category, x, y, side, id=len(truth) + 1, iscrowd=crowd, area=area))
            for _ in range(rng.integers(0, 4)):
                dx, dy = (int(v) for v in rng.integers(-4, 5, 2))
                label = category if rng.uniform() < 0.8 else int(rng.integers(1, classes + 1))
                x1, y1 = min(max(x + dx, 0), SIZE - side), min(max(y + dy, 0), SIZE - side)
                results.append(entry(image, label, x1, y1, side, score=float(scores[len(results)])))
    for _ in range(130):
        x, y = (int(v) for v in rng.integers(0, SIZE - 20, 2))
        results.append(entry(images, 1, x, y, 20, score=float(scores[len(results)])))
    content = {
        "info": {},
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": SIZE, "width": SIZE} for i in range(1, images + 1)],
        "categories": [{"id": c, "name": f"class{c}"} for c in range(1, classes + 1)],
        "annotations": truth,
    }
    return content, results


def repeated(content, results, weights):
    """The set in which image i is there weights[i] times, with copies of its objects and detections."""
    new, detections = dict(content, images=[], annotations=[]), []
    for image, times in zip(content["images"], weights, strict=True):
        for _ in range(times):
            number = len(new["images"]) + 1
            new["images"].append(image | {"id": number})
            own = [a for a in content["annotations"] if a["image_id"] == image["id"]]
            for a in own:
                new["annotations"].append(a | {"id": len(new["annotations"]) + 1, "image_id": number})
            detections += [d | {"image_id": number} for d in results if d["image_id"] == image["id"]]
    return new, detections


def reference(content, results, task):
    """AP, AP50, AP75 in 0-1 and precision per class by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(content)
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), task)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats[:3], run.eval["precision"][:, :, :, 0, 2]


@pytest.fixture
def matched(tmp_path):
    def match(content, results, task):
        (tmp_path / "gt.json").write_text(json.dumps(content))
        (tmp_path / "dt.json").write_text(json.dumps(results))
        matcher = Matcher(tmp_path / "gt.json", "coco")
        return matcher.match(matcher.read(tmp_path / "dt.json", [task]), task)

    return match


@pytest.mark.parametrize("task", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(3))
def test_unit_weights_give_the_metric_itself(matched, task, seed):
    content, results = random_set(seed)
    ours = weighted_ap.average_precision(matched(content, results, task), np.ones((1, 12), dtype=np.int64))
    (ap, ap50, ap75), curves = reference(content, results, task)
    summary = weighted_ap.summary(ours)
    assert [summary[name][0] / 100 for name in ("AP", "AP50", "AP75")] == pytest.approx([ap, ap50, ap75], abs=1e-9)
    for k in range(3):
        wanted = np.nan if curves[0, 0, k] < 0 else curves[:, :, k].mean()
        assert weighted_ap.per_class(ours)[0, k] / 100 == pytest.approx(wanted, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_a_weight_is_that_many_copies_of_the_image(matched, task):
    content, results = random_set()
    matches = matched(content, results, task)
    drawn = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), size=6)
    twice = np.ones((1, 12), dtype=np.int64)
    twice[0, 4] = 2
    weights = np.concatenate([drawn, twice])
    ours = weighted_ap.summary(weighted_ap.average_precision(matches, weights))
    for row, times in enumerate(weights):
        wanted, _ = reference(*repeated(content, results, times), task)
        assert [ours[name][row] / 100 for name in ("AP", "AP50", "AP75")] == pytest.approx(list(wanted), abs=1e-9)


def test_a_class_without_objects_in_a_resample_is_left_out_of_its_mean(matched):
    content, results = random_set()
    only = np.array([[1 if any(a["image_id"] == i + 1 for a in content["annotations"]) else 0 for i in range(12)]])
    none = np.zeros((1, 12), dtype=np.int64)
    matches = matched(content, results, "bbox")
    assert np.isfinite(weighted_ap.summary(weighted_ap.average_precision(matches, only))["AP"]).all()
    assert np.isnan(weighted_ap.summary(weighted_ap.average_precision(matches, none))["AP"]).all()


def test_no_detections_are_zero_and_not_missing(matched):
    content, _ = random_set()
    ours = weighted_ap.average_precision(matched(content, [], "bbox"), np.ones((2, 12), dtype=np.int64))
    assert weighted_ap.summary(ours)["AP"].tolist() == [0, 0]


def test_rows_do_not_see_each_other(matched, monkeypatch):
    content, results = random_set()
    matches = matched(content, results, "bbox")
    drawn = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), size=40)
    together = weighted_ap.average_precision(matches, drawn)
    monkeypatch.setattr(weighted_ap, "CELLS", 1)  # one row at a time
    np.testing.assert_array_equal(weighted_ap.average_precision(matches, drawn), together)


def test_image_f1_counts_what_is_shown(matched):
    content, results = random_set()
    results = [
        entry(1, a["category_id"], *map(int, a["bbox"][:3]), score=0.9)
        for a in content["annotations"]
        if a["image_id"] == 1 and not a["iscrowd"]
    ]
    right = weighted_ap.image_f1(matched(content, results, "bbox"), 0.5)
    assert right[0] == 1
    assert right[11] == 1  # nothing there, nothing found
    assert right[1] == 0
    one_wrong = [*results, entry(1, 1, 1, 1, 2, score=0.6), entry(1, 1, 1, 1, 2, score=0.4)]
    n = len(results)
    assert weighted_ap.image_f1(matched(content, one_wrong, "bbox"), 0.5)[0] == pytest.approx(2 * n / (2 * n + 1))


def test_files_that_are_no_results_are_refused(matched, tmp_path):
    content, _ = random_set()
    with pytest.raises(InputError, match="detection 0: expected"):
        matched(content, [{"a": 1}], "bbox")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="expected a COCO annotation file"):
        Matcher(tmp_path / "bad.json", "coco")
