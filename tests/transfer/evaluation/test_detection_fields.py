"""A field that is none is refused with the first detection at fault."""

import json

import pytest

from tests.cases import detection_sets
from tests.cases.detection_sets import edit, read
from transfer.errors import InputError


@pytest.fixture(scope="module")
def content():
    return detection_sets.make(0, images=6)


BAD = {
    "unknown image": (edit(["image_id"], 999), "detection 7: expected an image_id of the ground truth, found 999"),
    "unknown class": (edit(["category_id"], 0), "detection 7: expected a category_id of the ground truth, found 0"),
    "image id as text": (
        edit(["image_id"], "100"),
        'detection 7: expected an image_id of the ground truth, found "100"',
    ),
    "no image id": (edit(["image_id"], KeyError), 'detection 7: expected "image_id", found only "category_id"'),
    "score above 1": (edit(["score"], 1.5), "detection 7: expected a score, a number in 0-1, found 1.5"),
    "score below 0": (edit(["score"], -0.1), "detection 7: expected a score, a number in 0-1, found -0.1"),
    "score NaN": (edit(["score"], float("nan")), "detection 7: expected a score, a number in 0-1, found NaN"),
    "score as text": (edit(["score"], "0.5"), 'detection 7: expected a score, a number in 0-1, found "0.5"'),
    "no score": (edit(["score"], KeyError), 'detection 7: expected "score", found only "image_id"'),
    "box of three": (edit(["bbox"], [1, 2, 3]), "detection 7: expected a bbox, [x, y, width, height]"),
    "negative box": (edit(["bbox"], [1, 2, -3, 4]), "detection 7: expected a bbox, [x, y, width, height]"),
    "infinite box": (edit(["bbox"], [1, 2, float("inf"), 4]), "detection 7: expected a bbox"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_content_is_refused_in_one_line(content, tmp_path, case):
    change, line = BAD[case]
    truth, results = json.loads(json.dumps(content))
    change(results)
    with pytest.raises(InputError) as error:
        read(tmp_path, truth, results, ["bbox", "segm"])
    assert line in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'results.json'}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [True, [0.5], None])
def test_what_numpy_would_take_for_a_number_is_none(content, tmp_path, value):
    truth, results = json.loads(json.dumps(content))
    results[7]["score"] = value
    with pytest.raises(InputError, match="detection 7: expected a score, a number in 0-1, found"):
        read(tmp_path, truth, results, ["bbox"])
