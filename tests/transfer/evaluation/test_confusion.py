import json

import numpy as np
import pytest

from transfer.evaluation import detections, ground_truth
from transfer.evaluation.confusion import Confusion, confusion, shortened
from transfer.evaluation.objects import Objects

CLASSES = ["cat", "dog"]


@pytest.fixture
def count(tmp_path):
    def run(objects, found, least=0.5):
        """Objects (class, box[, crowd]) and detections (class, box, score) of one image, by class index."""
        content = {
            "images": [{"id": 1, "width": 200, "height": 200, "file_name": "a.jpg"}],
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
            "annotations": [
                {"id": i + 1, "image_id": 1, "category_id": c + 1, "bbox": box, "area": box[2] * box[3],
                 "iscrowd": int(bool(crowd))}
                for i, (c, box, *crowd) in enumerate(objects)
            ],
        }  # fmt: skip
        (tmp_path / "a.json").write_text(json.dumps(content))
        results = [{"image_id": 1, "category_id": c + 1, "bbox": box, "score": s} for c, box, s in found]
        (tmp_path / "r.json").write_text(json.dumps(results))
        truth = ground_truth.read(tmp_path / "a.json")
        return confusion(Objects(truth, "bbox"), detections.read(tmp_path / "r.json", truth), least).counts.tolist()

    return run


HERE, NEAR, THERE = [10, 10, 50, 50], [12, 10, 50, 50], [120, 120, 50, 50]


def test_right_wrong_missed_and_nothing_there(count):
    assert count([(0, HERE), (1, THERE)], [(0, NEAR, 0.9)]) == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert count([(0, HERE)], [(1, NEAR, 0.9)]) == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert count([(0, HERE)], [(0, THERE, 0.9)]) == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_the_best_score_of_all_classes_chooses_first(count):
    found = [(0, HERE, 0.6), (1, NEAR, 0.9)]
    assert count([(0, HERE)], found) == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert count([(0, HERE)], found[::-1]) == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_a_detection_takes_the_object_that_it_covers_best(count):
    assert count([(1, NEAR), (0, HERE)], [(0, HERE, 0.9), (1, NEAR, 0.8)]) == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_what_lies_below_the_limit_or_in_a_crowd_does_not_count(count):
    assert count([(0, HERE)], [(0, HERE, 0.4)]) == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert count([(0, HERE), (0, THERE, True)], [(0, THERE, 0.9)]) == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_many_classes_are_cut_to_the_most_confused_and_every_count_stays():
    counts = np.diag([9] * 20 + [0])
    counts[3, 17], counts[17, 3], counts[5, 6], counts[20, 4], counts[2, 20] = 8, 7, 3, 5, 4
    few = shortened(Confusion([f"c{i}" for i in range(20)], counts, 0.5), 4)
    assert few.classes == ["c3", "c5", "c17", "17 other classes"] or few.classes == [
        "c3",
        "c6",
        "c17",
        "17 other classes",
    ]
    assert few.counts.sum() == counts.sum()
    assert few.counts[0, 2] == 8
    assert few.counts[2, 0] == 7
    assert few.counts[4].tolist() == [0, 0, 0, 5, 0]
    assert few.counts[:, 4].tolist() == [0, 0, 0, 4, 0]
    whole = Confusion(["a"], np.zeros((2, 2), int), 0.5)
    assert shortened(whole, 4) is whole
