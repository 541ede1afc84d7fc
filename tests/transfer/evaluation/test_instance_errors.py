import json

import pytest

from transfer.evaluation.instance_errors import detected
from transfer.evaluation.instances import ValSet

HERE, NEAR, HALF, THERE = [10, 10, 50, 50], [12, 10, 50, 50], [40, 10, 50, 50], [120, 120, 50, 50]


@pytest.fixture
def val(tmp_path):
    """Image 7 has a cat HERE, image 9 a dog THERE and a crowd of cats HERE."""
    images = [{"id": i, "width": 200, "height": 200, "file_name": f"{i}.jpg"} for i in (9, 7, 8)]
    objects = [(7, 1, HERE, 0), (9, 1, HERE, 1), (9, 2, THERE, 0)]
    content = {
        "images": images,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i + 1, "image_id": image, "category_id": c, "bbox": box, "area": 2500, "iscrowd": crowd}
            for i, (image, c, box, crowd) in enumerate(objects)
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    return ValSet(tmp_path / "a.json")


def run(val, tmp_path, found, least=0.1, most=25):
    results = [{"image_id": i, "category_id": c, "bbox": box, "score": s} for i, c, box, s in found]
    (tmp_path / "r.json").write_text(json.dumps(results))
    every = val.read(tmp_path / "r.json")
    by_name = {entry["file_name"]: number for number, entry in val.images.items()}
    numbers = {by_name["7.jpg"]: 7, by_name["9.jpg"]: 9}
    return {numbers[n]: one for n, one in detected(val, every, numbers, "bbox", least, most).items()}


def test_every_kind_has_its_name(val, tmp_path):
    found = [
        (7, 1, HERE, 0.9),
        (7, 1, NEAR, 0.8),
        (7, 2, NEAR, 0.7),
        (7, 1, HALF, 0.6),
        (7, 2, HALF, 0.5),
        (7, 1, THERE, 0.4),
        (9, 1, NEAR, 0.9),
        (8, 1, NEAR, 0.9),
    ]
    one = run(val, tmp_path, found)
    kinds = ["right", "duplicate", "wrong class", "wrong place", "both wrong", "nothing there"]
    assert one[7].kinds == kinds
    assert [i.score for i in one[7].instances] == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert one[7].matched == [0.9]
    assert (one[9].kinds, one[9].matched) == ([""], [None])  # in a crowd; and the dog is missed


def test_objects_are_in_the_order_in_which_the_truth_is_drawn(val, tmp_path):
    one = run(val, tmp_path, [(9, 2, THERE, 0.3)])
    image = next(n for n, entry in val.images.items() if entry["file_name"] == "9.jpg")
    assert [object.label for object in val.truth([image])[image]] == ["dog"]
    assert one[9].matched == [0.3]
    assert one[7].matched == [None]


def test_low_scores_and_too_many_are_left_out(val, tmp_path):
    found = [(7, 1, HERE, 0.05), (7, 2, THERE, 0.3), (7, 1, NEAR, 0.2), (7, 1, HALF, 0.15)]
    one = run(val, tmp_path, found, most=2)[7]
    assert [i.score for i in one.instances] == [0.3, 0.2]
    assert one.kinds == ["nothing there", "right"]
