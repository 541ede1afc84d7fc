"""Pascal's AP against Detectron2's evaluator, and against cases worked by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.data.datasets import register_pascal_voc
from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.structures import Boxes, Instances

from tests.coco_sets import edit, write_coco
from tests.detector_sets import write_voc
from transfer import evaluators, pascal
from transfer.voc import VocObject


def one(box, difficult=False):
    return VocObject("a", box, difficult)


def found(score, box, image="1"):
    return pascal.Found(image, score, box)


def test_two_of_three_objects_found_by_hand():
    """Scores 0.9 (hit), 0.8 (miss), 0.7 (hit) on three objects: recall 1/3, 1/3, 2/3; precision 1, 1/2, 2/3."""
    truth = {"1": [one((1, 1, 10, 10)), one((21, 1, 30, 10)), one((41, 1, 50, 10))]}
    detections = [found(0.7, (21, 1, 30, 10)), found(0.9, (1, 1, 10, 10)), found(0.8, (61, 1, 70, 10))]
    recall, precision = pascal.curve(detections, truth, 0.5)
    assert recall == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert precision == pytest.approx([1, 1 / 2, 2 / 3])
    # 0, 0.1, 0.2, 0.3 are reached at precision 1; 0.4, 0.5, 0.6 at 2/3; the other four never.
    assert pascal.average_precision(recall, precision, eleven_point=True) == pytest.approx((4 + 3 * 2 / 3) / 11)
    assert pascal.average_precision(recall, precision, eleven_point=False) == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)


def test_a_difficult_object_counts_neither_way():
    truth = {"1": [one((1, 1, 10, 10)), one((21, 1, 30, 10), difficult=True)]}
    recall, precision = pascal.curve([found(0.9, (21, 1, 30, 10)), found(0.8, (1, 1, 10, 10))], truth, 0.5)
    assert (recall[-1], precision[-1]) == (1, 1)
    assert pascal.curve([], {"1": [one((1, 1, 2, 2), difficult=True)]}, 0.5) is None


def test_the_second_detection_of_an_object_is_a_miss():
    recall, precision = pascal.curve(
        [found(0.9, (1, 1, 10, 10)), found(0.8, (1, 1, 10, 11))], {"1": [one((1, 1, 10, 10))]}, 0.5
    )
    assert (list(recall), list(precision)) == ([1, 1], [1, 0.5])


def test_pixels_at_both_ends_of_a_box_count():
    """Boxes of 10 x 10 and 10 x 5 pixels: IoU 0.5 exactly, which is not above 0.5."""
    truth = {"1": [one((1, 1, 10, 10))]}
    assert pascal.curve([found(0.9, (1, 1, 10, 5))], truth, 0.5)[0][-1] == 0
    assert pascal.curve([found(0.9, (1, 1, 10, 6))], truth, 0.5)[0][-1] == 1


def test_nothing_found_is_zero_and_nothing_to_find_is_left_out():
    truth = {"1": (one((1, 1, 9, 9)),)}
    table = pascal.per_class({}, truth, ["a", "b"])
    values = pascal.summary(table[True])
    assert (values["AP"], values["AP-a"]) == (0, 0)
    assert np.isnan(values["AP-b"])


def test_detections_are_rounded_as_pascals_files_are():
    got = pascal.rounded("x", 0.12349, np.array([0.04, 0.06, 10.25, 10.34], dtype=np.float32))
    assert got == pascal.Found("x", 0.123, (1.0, 1.1, 10.2, 10.3))


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
    theirs, ours = PascalVOCDetectionEvaluator(name), evaluators.PascalEvaluator(name, tmp_path / "out")
    theirs.reset()
    ours.reset()
    generator = torch.Generator().manual_seed(0)
    content = json.loads(Path(ann).read_text())
    for image in content["images"]:
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
        ours.process([entry], [{"instances": instances}])
    expected, got = theirs.evaluate()["bbox"], ours.evaluate()["bbox"]
    assert 5 < expected["AP75"] < expected["AP50"] < 95
    for metric, value in expected.items():
        assert got[metric] == pytest.approx(value, abs=1e-9)
    kept = json.loads((tmp_path / "out/pascal.json").read_text())
    assert kept["used"] == ("11-point" if year == 2007 else "all-point")
    assert kept[kept["used"]]["AP"] == got["AP"]
    assert kept["11-point"]["AP"] != kept["all-point"]["AP"]
