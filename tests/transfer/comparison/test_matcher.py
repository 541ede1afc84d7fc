"""The matches that resampling works on give the AP that the run's own metric gives, by each protocol's rules."""

import numpy as np
import pytest

from tests.cases.detection_sets import make, write
from transfer.comparison.matcher import Matcher
from transfer.errors import InputError
from transfer.evaluation import detections, ground_truth, measure, weighted_ap
from transfer.evaluation.weighted_ap import RECALLS

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def ap(matches):
    return weighted_ap.average_precision(matches, np.ones((1, len(matches.images)), np.int64))


@pytest.mark.parametrize("protocol", ["coco", "lvis"])
def test_the_ap_of_the_matches_is_the_engines(protocol, tmp_path):
    file, results = write(tmp_path, *make(seed=3, lvis=protocol == "lvis"))
    truth = ground_truth.read(file)
    metrics, per_class = measure.average_precisions(truth, detections.read(results, truth))
    matcher = Matcher(file, protocol)
    assert matcher.images == len(truth.sizes)
    for task in ("bbox", "segm"):
        matches = matcher.match(matcher.read(results, [task]), task)
        for name, value in weighted_ap.summary(ap(matches)).items():
            assert value[0] == pytest.approx(metrics[task][name], abs=1e-9)
        ours = dict(zip(matches.classes, weighted_ap.per_class(ap(matches))[0], strict=True))
        assert ours == pytest.approx({k: np.nan if v is None else v for k, v in per_class[task].items()}, nan_ok=True)


def test_each_class_has_its_detections_by_falling_score(tmp_path):
    content, entries = make(seed=1, many=20)
    file, results = write(tmp_path, content, entries)
    matcher = Matcher(file, "coco")
    matches = matcher.match(matcher.read(results, ["bbox"]), "bbox")
    assert sum(len(one.score) for one in matches.classes.values()) == len(entries)
    for category in content["categories"]:
        one = matches.classes[category["name"]]
        scores = [e["score"] for e in entries if e["category_id"] == category["id"]]
        assert one.score.tolist() == sorted(scores, reverse=True)
        objects = [a for a in content["annotations"] if a["category_id"] == category["id"] and not a["iscrowd"]]
        assert one.objects.sum() == len(objects)
        assert not (one.matched & one.ignored).any()


def test_the_year_of_a_voc_set_decides_how_ap_is_made(tmp_path):
    file, results = write(tmp_path, *make(seed=2, masks=False))
    recalls = {}
    for protocol in ("coco", "voc2007", "voc2012"):
        matcher = Matcher(file, protocol)
        recalls[protocol] = matcher.match(matcher.read(results, ["bbox"]), "bbox").recalls
    np.testing.assert_array_equal(recalls["coco"], RECALLS)
    np.testing.assert_allclose(recalls["voc2007"], np.linspace(0, 1, 11))
    assert recalls["voc2012"] is None


def test_results_on_another_set_are_refused(tmp_path):
    file, results = write(tmp_path, *make(seed=1))
    other, _ = write(tmp_path / "other", *make(seed=1, images=4))
    with pytest.raises(InputError, match="expected an image_id of the ground truth"):
        Matcher(other, "coco").read(results, ["bbox"])
    assert len(Matcher(file, "coco").read(results, ["bbox"])) > 0
