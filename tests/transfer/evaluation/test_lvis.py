"""LVIS's rules (Gupta et al., CVPR 2019, and the API's limit of 300) on cases worked by hand, by both engines.

Every class's AP is made of few detections, so that it can be read off: a wrong detection above the only right one
halves the precision at every recall, so AP is 50; a wrong one below it changes nothing.
"""

import json

import numpy as np
import pytest

from tests.cases import detection_sets
from tests.transfer.evaluation.test_engines import read
from tests.transfer.evaluation.test_weighted_ap import repeated
from transfer.__main__ import main
from transfer.comparison.matcher import Matcher
from transfer.evaluation import engines, measure, weighted_ap
from transfer.records import record_file

BOX, ELSEWHERE = [10.0, 10.0, 40.0, 40.0], [120.0, 100.0, 40.0, 40.0]
RARE, COMMON, FREQUENT = 1, 2, 3


def world(negative=(), open_classes=(), objects=((1, RARE), (1, COMMON), (2, FREQUENT))):
    """Two images, three classes, one object (image, class) each; in image 2 what ``negative`` and so on say."""
    images = [
        {"id": i, "height": 200, "width": 200, "neg_category_ids": [], "not_exhaustive_category_ids": []}
        for i in (1, 2)
    ]
    images[1] |= {"neg_category_ids": list(negative), "not_exhaustive_category_ids": list(open_classes)}
    truth = [
        {"id": n, "image_id": i, "category_id": c, "bbox": BOX, "area": 1600.0} for n, (i, c) in enumerate(objects)
    ]
    names = [{"id": c, "name": f"class {c}", "frequency": f} for c, f in ((1, "r"), (2, "c"), (3, "f"))]
    return {"images": images, "annotations": truth, "categories": names}


def detection(image_id, category_id, score, box=BOX):
    return {"image_id": image_id, "category_id": category_id, "score": score, "bbox": list(box)}


ALL_FOUND = [detection(1, RARE, 0.5), detection(1, COMMON, 0.5), detection(2, FREQUENT, 0.5)]


@pytest.fixture(params=list(engines.ENGINES))
def aps(request, tmp_path):
    """Measure; return (metrics, AP per class) in percent."""

    def run(truth, results):
        truth, results = read(tmp_path, truth, results)
        assert truth.protocol == "lvis"
        measured = measure.measure(truth, results, request.param)
        assert measured.tide["bbox"].ap50 == pytest.approx(measured.metrics["bbox"]["AP50"], abs=1e-9)
        return measured.metrics["bbox"], measured.per_class["bbox"]

    return run


def test_everything_found(aps):
    metrics, _ = aps(world(), ALL_FOUND)
    for name in ("AP", "AP50", "AP75", "APr", "APc", "APf", "APm", "AR300", "ARm"):
        assert metrics[name] == pytest.approx(100), name
    for name in ("APs", "APl", "AR1", "AR10", "AR100"):  # no such object; no such limit
        assert metrics[name] is None, name


def test_a_class_that_nobody_looked_for_in_the_image_cannot_be_wrong_there(aps):
    metrics, _ = aps(world(), [*ALL_FOUND, detection(2, RARE, 0.9)])
    assert metrics["APr"] == pytest.approx(100)


def test_a_class_that_is_known_to_be_absent_can_be_wrong(aps):
    metrics, per_class = aps(world(negative=[RARE]), [*ALL_FOUND, detection(2, RARE, 0.9)])
    assert metrics["APr"] == per_class["class 1"] == pytest.approx(50)
    assert (metrics["APc"], metrics["APf"]) == (pytest.approx(100), pytest.approx(100))
    assert metrics["AP"] == pytest.approx(250 / 3)


@pytest.mark.parametrize(("open_classes", "ap"), [((), 50), ((FREQUENT,), 100)])
def test_where_not_every_object_is_annotated_one_more_is_not_wrong(aps, open_classes, ap):
    extra = detection(2, FREQUENT, 0.9, ELSEWHERE)
    metrics, _ = aps(world(open_classes=open_classes), [*ALL_FOUND, extra])
    assert metrics["APf"] == pytest.approx(ap)


def test_where_not_every_object_is_annotated_a_right_one_is_right(aps):
    metrics, _ = aps(world(open_classes=[FREQUENT]), ALL_FOUND)
    assert (metrics["APf"], metrics["AR300"]) == (pytest.approx(100), pytest.approx(100))


@pytest.mark.parametrize(("others", "ap"), [(299, 100), (300, 0)])
def test_the_300_best_of_an_image_count_whatever_their_class(aps, others, ap):
    """They are of a class that nobody looked for: the limit comes before that rule."""
    crowd = [detection(1, FREQUENT, 0.9, ELSEWHERE) for _ in range(others)]
    metrics, _ = aps(world(objects=[(1, RARE), (2, FREQUENT)]), [*crowd, detection(1, RARE, 0.5)])
    assert metrics["APr"] == pytest.approx(ap)


def test_more_than_100_detections_count(aps):
    """COCO would not see the right one behind 150 of its class; here precision is 1/151 at every recall."""
    metrics, _ = aps(world(), [*ALL_FOUND, *(detection(1, RARE, 0.9, ELSEWHERE) for _ in range(150))])
    assert metrics["APr"] == pytest.approx(100 / 151)


@pytest.mark.parametrize("task", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(3))
def test_every_number_behind_the_metrics_is_equal(tmp_path, seed, task):
    truth, results = read(tmp_path, *detection_sets.make(seed, images=9, many=330, lvis=True))
    ours, reference = (engine(truth, results, task) for engine in engines.ENGINES.values())
    assert ours.limits == reference.limits == (300,)
    assert np.array_equal(ours.recall, reference.recall)
    assert np.allclose(ours.precision, reference.precision, rtol=0, atol=1e-12)


@pytest.mark.parametrize("task", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(2))
def test_a_weight_is_that_many_copies_of_the_image(tmp_path, seed, task):
    content, results = detection_sets.make(seed, images=9, many=330, lvis=True)
    scores = np.random.default_rng(seed).permutation(len(results)) / len(results)
    results = [entry | {"score": float(score)} for entry, score in zip(results, scores, strict=True)]
    gt, file = detection_sets.write(tmp_path, content, results)
    matcher = Matcher(gt, "lvis")
    weights = np.random.default_rng(seed).multinomial(9, np.full(9, 1 / 9), size=3)
    weights = np.concatenate([np.ones((1, 9), np.int64), weights])
    ours = weighted_ap.summary(weighted_ap.average_precision(matcher.match(matcher.read(file, [task]), task), weights))
    for row, times in enumerate(weights):
        measured = measure.measure(*read(tmp_path, *repeated(content, results, times)), "pycocotools")
        for name in ("AP", "AP50", "AP75"):
            assert ours[name][row] == pytest.approx(measured.metrics[task][name], abs=1e-9)


def test_the_verb_knows_lvis_by_its_file(tmp_path):
    gt, results = detection_sets.write(tmp_path, world(), ALL_FOUND)
    out = tmp_path / "r.json"
    assert main(["evaluate", "--gt", str(gt), "--detections", str(results), "--out", str(out), "--cross-check"]) == 0
    record = record_file.read(out)
    assert record.protocol == "lvis"
    assert record.metrics["bbox"]["APr"] == pytest.approx(100)
    assert json.loads(out.read_text())["metrics"]["segm"]["APr"] is None
