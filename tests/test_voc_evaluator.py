"""The VOC evaluation against Detectron2's own, and on a case worked by hand."""

from collections import defaultdict

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_pascal_voc
from detectron2.evaluation import PascalVOCDetectionEvaluator

from transfer.voc_evaluator import VocEvaluator

CLASSES = ["cat", "dog"]
SQUARE = (11, 11, 50, 50)  # xmin, ymin, xmax, ymax; both ends belong to the box


def write(folder, objects):
    """Write a VOC folder: image -> [(class, box, difficult)]."""
    for part in ("Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for image, entries in objects.items():
        text = ""
        for name, box, difficult in entries:
            corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
            flags = f"<pose>x</pose><truncated>0</truncated><difficult>{difficult}</difficult>"
            text += f"<object><name>{name}</name>{flags}<bndbox>{corners}</bndbox></object>"
        (folder / f"Annotations/{image}.xml").write_text(f"<annotation>{text}</annotation>")
    (folder / "ImageSets/Main/test.txt").write_text("\n".join(objects) + "\n")


@pytest.fixture
def evaluate(tmp_path):
    """Measure detections (image, class, score, box) on objects with an evaluator; everything is unregistered again."""
    names = []

    def run(kind, objects, found, year=2007):
        folder = tmp_path / str(len(names))
        write(folder, objects)
        names.append(f"{folder}")
        register_pascal_voc(names[-1], str(folder), "test", year, CLASSES)
        evaluator = kind(names[-1])
        evaluator.reset()
        for image, name, score, box in found:
            evaluator._predictions[CLASSES.index(name)].append(f"{image} {score:.3f} " + " ".join(map(str, box)))
        assert isinstance(evaluator._predictions, defaultdict)
        return evaluator.evaluate()["bbox"]

    yield run
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.mark.parametrize("year", [2007, 2012])
def test_the_means_are_detectron2s(evaluate, year):
    rng = np.random.default_rng(0)
    objects, found = {}, []
    for i in range(12):
        entries = []
        for _ in range(3):
            x, y, w, h = rng.integers(1, 60, 4)
            entries.append((CLASSES[rng.integers(2)], (x, y, x + w, y + h), int(rng.random() < 0.2)))
            moved = tuple(np.array(entries[-1][1]) + rng.normal(0, 5, 4).round(1))
            found.append((f"{i:06}", entries[-1][0], rng.random(), moved))
        objects[f"{i:06}"] = entries
    ours, theirs = (evaluate(kind, objects, found, year) for kind in (VocEvaluator, PascalVOCDetectionEvaluator))
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value), name
    assert 0 < theirs["AP"] < theirs["AP50"] < 100


@pytest.mark.parametrize(("year", "dog"), [(2007, 100 * 6 / 11), (2012, 50.0)])
def test_each_class_by_hand(evaluate, year, dog):
    """The cat is found, and one of two dogs: recall 1/2 at precision 1, which is 6 of 11 points or half the area."""
    objects = {"a": [("cat", SQUARE, 0)], "b": [("dog", SQUARE, 0), ("dog", (61, 61, 90, 90), 0)]}
    found = evaluate(VocEvaluator, objects, [("a", "cat", 0.9, SQUARE), ("b", "dog", 0.9, SQUARE)], year)
    assert found["AP-cat"] == pytest.approx(100)
    assert found["AP-dog"] == pytest.approx(dog)
    assert found["AP"] == found["AP50"] == pytest.approx((100 + dog) / 2)


def test_a_class_without_detections_has_zero(evaluate):
    objects = {"a": [("cat", SQUARE, 0), ("dog", SQUARE, 0)]}
    found = evaluate(VocEvaluator, objects, [("a", "cat", 0.9, SQUARE)])
    assert (found["AP-dog"], found["AP50"]) == (0, pytest.approx(50))
