"""Pascal's AP against Detectron2's evaluator, against cases worked by hand, and under image weights."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.data.datasets import register_pascal_voc
from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.structures import Boxes, Instances

from tests.cases.coco_sets import edit, write_coco
from tests.cases.detector_sets import write_voc
from transfer.data import splits, voc
from transfer.data.voc import VocSplit
from transfer.evaluation import detections, ground_truth, pascal, weighted_ap
from transfer.evaluation.objects import Objects
from transfer.finetuning import evaluators

CLASSES = ("a", "b")


def truth_of(objects, images=1):
    """A set of (image, class, Pascal's box, difficult)."""
    listed = [{"id": i, "file_name": f"{i}.jpg", "width": 120, "height": 120} for i in range(1, images + 1)]
    content = {"images": listed, "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}
    for number, (image, name, (left, top, right, bottom), difficult) in enumerate(objects, 1):
        box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
        ids = {"id": number, "image_id": image, "category_id": 1 + CLASSES.index(name)}
        content["annotations"].append({**ids, "bbox": box, "area": box[2] * box[3], "difficult": int(difficult)})
    return content


def found_of(entries):
    """Detections of (image, class, score, Pascal's box)."""
    return [
        {
            "image_id": i,
            "category_id": 1 + CLASSES.index(name),
            "score": score,
            "bbox": [x - 1, y - 1, r - x + 1, b - y + 1],
        }
        for i, name, score, (x, y, r, b) in entries
    ]


@pytest.fixture
def matched(tmp_path):
    def match(truth, results, eleven_point=True):
        (tmp_path / "gt.json").write_text(json.dumps(truth))
        (tmp_path / "dt.json").write_text(json.dumps(results))
        read = ground_truth.read(tmp_path / "gt.json")
        results = detections.read(tmp_path / "dt.json", read, ["bbox"])
        return pascal.match(Objects(read, "bbox"), results, eleven_point=eleven_point)

    return match


def both_aps(matches, name="a"):
    """AP at IoU 0.5 of a class, 11-point and under the whole curve, in 0-1."""
    once = np.ones((1, len(matches.images)), np.int64)
    return [
        weighted_ap.average_precision(dataclasses.replace(matches, recalls=way), once)[0, 0, CLASSES.index(name)]
        for way in (pascal.ELEVEN, None)
    ]


def test_two_of_three_objects_found_by_hand(matched):
    """Scores 0.9 (hit), 0.8 (miss), 0.7 (hit) on three objects: recall 1/3, 1/3, 2/3; precision 1, 1/2, 2/3."""
    truth = truth_of([(1, "a", box, False) for box in ((1, 1, 10, 10), (21, 1, 30, 10), (41, 1, 50, 10))])
    entries = [(1, "a", 0.7, (21, 1, 30, 10)), (1, "a", 0.9, (1, 1, 10, 10)), (1, "a", 0.8, (61, 1, 70, 10))]
    eleven, area = both_aps(matched(truth, found_of(entries)))
    # 0, 0.1, 0.2, 0.3 are reached at precision 1; 0.4, 0.5, 0.6 at 2/3; the other four never.
    assert eleven == pytest.approx((4 + 3 * 2 / 3) / 11)
    assert area == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)


def test_a_difficult_object_counts_neither_way(matched):
    truth = truth_of([(1, "a", (1, 1, 10, 10), False), (1, "a", (21, 1, 30, 10), True), (1, "b", (1, 1, 9, 9), True)])
    matches = matched(truth, found_of([(1, "a", 0.9, (21, 1, 30, 10)), (1, "a", 0.8, (1, 1, 10, 10))]))
    assert both_aps(matches) == [1, 1]
    assert matches.classes["a"].objects.tolist() == [1]
    assert np.isnan(both_aps(matches, "b")).all()
    assert np.isnan(pascal.summary(matches)["AP-b"])
    assert pascal.summary(matches)["AP"] == 100


def test_the_second_detection_of_an_object_is_a_miss(matched):
    truth = truth_of([(1, "a", (1, 1, 10, 10), False), (1, "a", (21, 1, 30, 10), False)])
    boxes = [(0.9, (1, 1, 10, 10)), (0.8, (1, 1, 10, 11)), (0.7, (21, 1, 30, 10))]
    matches = matched(truth, found_of([(1, "a", score, box) for score, box in boxes]))
    assert matches.classes["a"].matched[0].tolist() == [True, False, True]
    assert both_aps(matches)[1] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_pixels_at_both_ends_of_a_box_count(matched):
    """Boxes of 10 x 10 and 10 x 5 pixels: IoU 0.5 exactly, which is not above 0.5."""
    truth = truth_of([(1, "a", (1, 1, 10, 10), False)])
    assert not matched(truth, found_of([(1, "a", 0.9, (1, 1, 10, 5))])).classes["a"].matched[0].any()
    assert matched(truth, found_of([(1, "a", 0.9, (1, 1, 10, 6))])).classes["a"].matched[0].all()


def test_nothing_found_is_zero_and_nothing_to_find_is_left_out(matched):
    values = pascal.summary(matched(truth_of([(1, "a", (1, 1, 9, 9), False)]), []))
    assert (values["AP"], values["AP-a"]) == (0, 0)
    assert np.isnan(values["AP-b"])


def test_detections_are_rounded_as_pascals_files_are(tmp_path, matched):
    box = np.array([0.04, 0.06, 10.25, 10.34], np.float32).astype(float)
    entry = {"image_id": 1, "category_id": 1, "score": 0.12349, "bbox": [*box[:2], *(box[2:] - box[:2])]}
    matches = matched(truth_of([(1, "a", (1, 1, 9, 9), False)]), [entry])
    assert matches.classes["a"].score.tolist() == [0.123]
    read = ground_truth.read(tmp_path / "gt.json")
    rounded = pascal._rounded_boxes(detections.read(tmp_path / "dt.json", read, ["bbox"]))
    assert rounded.tolist() == [[1.0, 1.1, 10.2, 10.3]]


def test_fractions_in_a_box_are_cut_off_and_not_lost_on_the_way(matched):
    """Detectron2 reads whole numbers; 45.7 to 50 becomes 45 to 50, and no 49 by the sum of two fractions."""
    truth = truth_of([(1, "a", (45.7, 45.7, 50, 50), False)])
    assert pascal._pascal_boxes(truth["annotations"]).tolist() == [[45, 45, 50, 50]]


def random_voc(seed=0, images=12):
    """Objects of two classes, some difficult; detections near and far, no score twice in three decimals."""
    rng = np.random.default_rng(seed)
    scores = iter((rng.permutation(999) / 1000).tolist())
    objects, entries = [], []
    for image in range(1, images):  # the last has neither
        for _ in range(rng.integers(1, 5)):
            left, top, side = (int(v) for v in rng.integers(1, 50, 3))
            name = CLASSES[rng.integers(2)]
            objects.append((image, name, (left, top, left + side + 8, top + side + 8), rng.random() < 0.2))
            for _ in range(rng.integers(0, 4)):
                x, y = left + int(rng.integers(-3, 4)), top + int(rng.integers(-3, 4))
                label = name if rng.random() < 0.8 else CLASSES[rng.integers(2)]
                entries.append((image, label, next(scores), (x, y, x + side + 8, y + side + 8)))
    return objects, entries


@pytest.mark.parametrize("eleven_point", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_weight_is_that_many_copies_of_the_image(matched, seed, eleven_point):
    both = random_voc(seed)
    matches = matched(truth_of(both[0], 12), found_of(both[1]), eleven_point)
    weights = np.random.default_rng(seed).multinomial(12, np.full(12, 1 / 12), size=5)
    ours = weighted_ap.summary(weighted_ap.average_precision(matches, weights))
    for row, times in enumerate(weights):
        drawn = np.repeat(np.arange(1, 13), times).tolist()
        again = [
            [(i, *one[1:]) for i, image in enumerate(drawn, 1) for one in all_ if one[0] == image] for all_ in both
        ]
        wanted = pascal.summary(matched(truth_of(again[0], 12), found_of(again[1]), eleven_point))
        assert 5 < wanted["AP"] < 95
        for name in ("AP", "AP50", "AP75"):
            assert ours[name][row] == pytest.approx(wanted[name], abs=1e-9)


@pytest.mark.parametrize("year", [2007, 2012])
def test_detectron2s_evaluator_gives_the_same_numbers(year, tmp_path):
    """On 40 images with crowds of near hits, duplicates, ties in score and difficult objects."""
    images, ann = write_coco(tmp_path / "coco", 40)
    edit(
        ann,
        lambda c: c["annotations"].extend(
            {**a, "id": a["id"] + 100, "bbox": [2, 3, 30, 20]} for a in list(c["annotations"][::2])
        ),
    )
    root = write_voc(images, ann, tmp_path / f"VOC{year}", difficult=range(0, 40, 5))
    name = f"pascal_test_{year}"
    register_pascal_voc(name, str(root), "test", year, ["square", "cross"])
    MetadataCatalog.get(name).evaluator_type = "pascal_voc"
    part = VocSplit(root, "test")
    split, content = splits.from_voc([part], ("square", "cross"), str(tmp_path / "voc_val.json"), masks=False)
    (tmp_path / "voc_val.json").write_text(voc.to_json(content))
    ids = {name: number for number, name in enumerate(voc.stems(part, masks=False), 1)}
    theirs = PascalVOCDetectionEvaluator(name)
    ours = evaluators.PascalEvaluator(splits.register(split, "val", part), tmp_path / "out")
    theirs.reset()
    ours.reset()
    generator = torch.Generator().manual_seed(0)
    for image in json.loads(Path(ann).read_text())["images"]:
        boxes = [a["bbox"] for a in content["annotations"] if a["image_id"] == image["id"]] * 3
        boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes], dtype=torch.float32)
        boxes += torch.randn(boxes.shape, generator=generator) * 2.5
        instances = Instances((64, 64))
        instances.pred_boxes = Boxes(boxes)
        instances.scores = (torch.rand(len(boxes), generator=generator) * 20).round() / 20
        instances.pred_classes = torch.randint(0, 2, (len(boxes),), generator=generator)
        stem = image["file_name"].removesuffix(".png")
        entry = {"image_id": stem, "file_name": f"{root}/JPEGImages/{stem}.jpg"}
        theirs.process([entry], [{"instances": instances}])
        ours.process([entry | {"image_id": ids[stem]}], [{"instances": instances}])
    expected, got = theirs.evaluate()["bbox"], ours.evaluate()["bbox"]
    assert 5 < expected["AP75"] < expected["AP50"] < 95
    for metric, value in expected.items():
        assert got[metric] == pytest.approx(value, abs=1e-9)
    pascal_json = json.loads((tmp_path / "out/pascal.json").read_text())
    assert pascal_json["used"] == ("11-point" if year == 2007 else "all-point")
    assert pascal_json[pascal_json["used"]]["AP"] == got["AP"]
    assert pascal_json["11-point"]["AP"] != pascal_json["all-point"]["AP"]
