"""TIDE against hand-worked cases, and against pycocotools on files in which the errors have been put right by hand."""

import dataclasses

import hotcoco
import numpy as np
import pytest

from tests.cases import detection_sets
from tests.transfer.evaluation.test_engines import read
from transfer.evaluation import engines, measure, tide
from transfer.evaluation.matching import match
from transfer.evaluation.objects import Objects

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
SQUARE = [0.0, 0.0, 100.0, 100.0]  # of the only object of class 1; class 2 has one at 200


def two_classes(*results):
    """A 400 x 400 image with one square of each of two classes, and detections (class, box, score)."""
    image = {"id": 1, "file_name": "a", "height": 400, "width": 400}
    common = {"image_id": 1, "iscrowd": 0, "area": 10000.0}
    truth = [{**common, "category_id": c, "bbox": [x, 0.0, 100.0, 100.0]} for c, x in ((1, 0.0), (2, 200.0))]
    names = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
    detections = [{"image_id": 1, "category_id": c, "bbox": box, "score": s} for c, box, s in results]
    return {"images": [image], "annotations": truth, "categories": names}, detections


# Class 2 is found in all of them, so that half of the mean is 100.
HIT = (2, [200.0, 0.0, 100.0, 100.0], 0.9)
CASES = {
    # IoU 1 with the square of class 1, called class 2: a false positive above the right one halves class 2's AP.
    "classification": ([(2, SQUARE, 0.95)], 25.0, {"classification": 75.0, "false_positive": 25.0}),
    # 30 of 100 columns beside it: IoU 70 * 100 / (130 * 100) is above 0.5; 50 beside: 50 / 150 = 1/3.
    "localisation": ([(1, [50.0, 0.0, 100.0, 100.0], 0.8)], 50.0, {"localisation": 50.0}),
    "both": ([(2, [50.0, 0.0, 100.0, 100.0], 0.95)], 25.0, {"both": 25.0, "false_positive": 25.0}),
    # The second on the same square is wrong, but the recall is complete before it: it costs nothing.
    "duplicate": ([(1, SQUARE, 0.8), (1, [5.0, 0.0, 100.0, 100.0], 0.7)], 100.0, {}),
    "background": ([(2, [0.0, 300.0, 50.0, 50.0], 0.95)], 25.0, {"background": 25.0, "false_positive": 25.0}),
}


@pytest.mark.parametrize("case", CASES)
def test_hand_worked(tmp_path, case):
    results, ap50, costs = CASES[case]
    result = tide.errors(*read(tmp_path, *two_classes(HIT, *results)), "bbox")
    expected = {field.name: 0.0 for field in dataclasses.fields(result)} | {"ap50": ap50} | costs
    assert dataclasses.asdict(result) == pytest.approx(expected, abs=1e-9)


def test_a_missed_object_stretches_the_curve(tmp_path):
    """Class 1 has two objects, one found: AP is 51 of 101 recalls; without the missed one it is 100."""
    truth, results = two_classes(HIT, (1, SQUARE, 0.8))
    truth["annotations"].append({**truth["annotations"][0], "bbox": [0.0, 250.0, 50.0, 50.0], "area": 2500.0})
    result = tide.errors(*read(tmp_path, truth, results), "bbox")
    half = 100 * 51 / 101
    assert result.ap50 == pytest.approx((100 + half) / 2)
    assert result.missed == result.false_negative == pytest.approx((100 - half) / 2)


def test_of_two_that_stand_for_one_object_the_better_is_put_right(tmp_path):
    """Both lie beside the square; put right, one is right and the other gone: no recall above 1."""
    beside = [(1, [50.0, 0.0, 100.0, 100.0], 0.6), (1, [0.0, 55.0, 100.0, 100.0], 0.8)]
    truth, results = read(tmp_path, *two_classes(HIT, *beside))
    result = tide.errors(truth, results, "bbox")
    assert result.localisation == pytest.approx(50)
    matches = match(Objects(truth, "bbox"), results)
    assert (tide.classify(matches) == tide.LOCALISATION).sum() == 2


def put_right(kind, truth, results, task):
    """Apply one of the paper's oracles to the ground truth and detections themselves."""
    kinds, matches = tide.classify(matches := match(Objects(truth, task), results)), matches
    order = np.lexsort((-results.scores, results.category_ids, results.image_ids))
    objects = sorted((a for a in truth.content["annotations"] if not a["iscrowd"]), key=lambda a: a["image_id"])
    entries = [
        {
            "image_id": int(results.image_ids[i]),
            "category_id": int(results.category_ids[i]),
            "score": float(results.scores[i]),
            "bbox": results.boxes[i].tolist(),
        }
        for i in order
    ]
    fixes = {"classification": tide.CLASSIFICATION, "localisation": tide.LOCALISATION}
    drops = {"both": tide.BOTH, "duplicate": tide.DUPLICATE, "background": tide.BACKGROUND_ERROR}
    gone = np.zeros(len(entries), bool)
    if kind in drops:
        gone = kinds == drops[kind]
    elif kind in fixes:
        nearest = matches.same_object if kind == "localisation" else matches.other_object
        gone = kinds == fixes[kind]
        for target in {*nearest[gone]} - {*matches.object[0]}:
            best = max(np.flatnonzero(gone & (nearest == target)), key=lambda i: entries[i]["score"])
            gone[best] = False
            entries[best] |= {"category_id": objects[target]["category_id"], "bbox": objects[target]["bbox"]}
    else:
        targets = {
            *matches.same_object[kinds == tide.LOCALISATION],
            *matches.other_object[kinds == tide.CLASSIFICATION],
        }
        lost = [a for j, a in enumerate(objects) if not matches.taken()[j] and j not in targets]
        left = [a for a in truth.content["annotations"] if a not in lost]
        return {**truth.content, "annotations": left}, entries
    return truth.content, [entry for entry, dropped in zip(entries, gone, strict=True) if not dropped]


@pytest.mark.parametrize("seed", range(5))
def test_each_error_put_right_in_the_files_gives_the_ap_that_pycocotools_measures(tmp_path, seed):
    raw, results = detection_sets.make(seed, images=25, masks=False, many=20)
    rng = np.random.default_rng(seed)
    for entry in results:
        entry["score"] = float(rng.random())  # equal scores leave open which of two comes first
    truth, detections = read(tmp_path, raw, results)
    claimed = tide.errors(truth, detections, "bbox")
    before = measure.measure(truth, detections, "pycocotools").metrics["bbox"]["AP50"]
    assert claimed.ap50 == pytest.approx(before, abs=1e-9)
    for kind in KINDS:
        after = measure.measure(*read(tmp_path / kind, *put_right(kind, truth, detections, "bbox")), "pycocotools")
        gained = after.metrics["bbox"]["AP50"] - before
        assert getattr(claimed, kind) == pytest.approx(gained, abs=1e-9), kind


@pytest.mark.parametrize("seed", range(3))
def test_what_is_only_removed_is_hotcocos_without_crowds(tmp_path, seed):
    """What docs/evaluation.md says of both: wrong classes and places are put right otherwise, crowds seen otherwise."""
    names = {"both": "Both", "duplicate": "Dupe", "background": "Bkg", "missed": "Miss"}
    names |= {"false_positive": "FP", "false_negative": "FN"}
    raw, results = detection_sets.make(seed, images=25, masks=False, many=20)
    raw["annotations"] = [a for a in raw["annotations"] if not a["iscrowd"]]
    truth, detections = read(tmp_path, raw, results)
    reference = hotcoco.COCO(truth.content)
    evaluation = hotcoco.COCOeval(reference, reference.load_res(engines._entries(detections, "bbox")), "bbox")
    evaluation.evaluate()
    theirs = evaluation.tide_errors()
    ours = tide.errors(truth, detections, "bbox")
    assert ours.ap50 == pytest.approx(100 * theirs["ap_base"], abs=1e-9)
    for name, key in names.items():
        assert getattr(ours, name) == pytest.approx(100 * theirs["delta_ap"][key], abs=1e-9), name


@pytest.mark.parametrize("lvis", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_its_ap50_is_the_engines(tmp_path, seed, lvis):
    truth, detections = read(tmp_path, *detection_sets.make(seed, lvis=lvis))
    measured = measure.measure(truth, detections)
    for task in ("bbox", "segm"):
        assert measured.tide[task].ap50 == pytest.approx(measured.metrics[task]["AP50"], abs=1e-9)
