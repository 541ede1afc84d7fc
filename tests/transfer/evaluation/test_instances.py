import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from transfer.errors import InputError
from transfer.evaluation import instances

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

MASK = np.zeros((6, 8), dtype=bool)
MASK[1:4, 2:7] = True
BOX = {"image_id": 7, "category_id": 3, "bbox": [2, 1, 5, 3]}


@pytest.fixture
def val(tmp_path):
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 6, "width": 8} for i in (7, 9, 4, 5)],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {**BOX, "id": 1, "area": 15, "iscrowd": 0, "segmentation": [[2, 1, 7, 1, 7, 4, 2, 4]]},
            {**BOX, "id": 2, "area": 15, "iscrowd": 1, "segmentation": [[0, 0, 3, 0, 3, 3, 0, 3]]},
        ],
    }
    (tmp_path / "val.json").write_text(json.dumps(content))
    return instances.ValSet(tmp_path / "val.json")


def test_polygons_plain_and_compressed_codes_are_the_same_mask():
    code = coco_mask.encode(np.asfortranarray(MASK.astype(np.uint8)))
    runs, current, count = [], 0, 0
    for pixel in MASK.astype(int).ravel(order="F"):  # the format's own definition: run lengths down the columns
        if pixel != current:
            runs.append(count)
            current, count = pixel, 0
        count += 1
    plain = {"size": [6, 8], "counts": [*runs, count]}
    text = {"size": [6, 8], "counts": code["counts"].decode()}
    for segmentation in ([[2, 1, 7, 1, 7, 4, 2, 4]], plain, text):
        np.testing.assert_array_equal(instances.decode(segmentation, 6, 8), MASK)
    assert instances.decode(None, 6, 8) is None


def test_truth_leaves_crowds_out(val):
    instances = val.truth([3, 4])
    assert [instance.label for instance in instances[3]] == ["cat"]
    np.testing.assert_array_equal(instances[3][0].mask, MASK)
    assert instances[4] == []


def test_detections_below_the_score_are_left_out(val, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps([{**BOX, "score": 0.4}, {**BOX, "score": 0.6}]))
    instances = val.detections(val.read(tmp_path / "r.json"), [3], 0.5)
    assert [instance.score for instance in instances[3]] == [0.6]


def test_the_choice_depends_on_the_seed_alone(val):
    assert val.choose(2, 0) == val.choose(2, 0)
    assert len({tuple(val.choose(2, seed)) for seed in range(20)}) > 1
    assert val.choose(99, 0) == [1, 2, 3, 4]


def test_masks_without_boxes_get_the_boxes_around_them(val, tmp_path):
    code = coco_mask.encode(np.asfortranarray(MASK.astype(np.uint8)))
    one = {"image_id": 7, "category_id": 3, "score": 0.6}
    one["segmentation"] = {"size": [6, 8], "counts": code["counts"].decode()}
    (tmp_path / "r.json").write_text(json.dumps([one]))
    (instance,) = val.detections(val.read(tmp_path / "r.json"), [3, 4], 0.5)[3]
    assert instance.box == (2.0, 1.0, 5.0, 3.0)
    np.testing.assert_array_equal(instance.mask, MASK)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{**BOX, "score": 0.5, "image_id": 1}], "expected an image_id of the ground truth, found 1"),
        ([{**BOX, "score": 0.5, "category_id": 99}], "expected a category_id of the ground truth, found 99"),
        ([{**BOX, "score": 0.5, "bbox": [2, 1, -5, 3]}], "with no negative size, found"),
        ([BOX], 'expected "score", found only'),
        ({}, "expected a COCO results file, a list of detections, found dict"),
    ],
)
def test_results_are_checked_as_they_are_before_they_are_measured(val, tmp_path, content, message):
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        val.detections(val.read(tmp_path / "r.json"), [3], 0.5)


def test_files_that_are_missing_or_broken_are_refused(val, tmp_path):
    with pytest.raises(InputError, match="missing: expected a COCO results file"):
        val.detections(val.read(tmp_path / "none.json"), [7], 0.5)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="is no JSON: expected a COCO annotation file"):
        instances.ValSet(tmp_path / "broken.json")
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(InputError, match="expected"):
        instances.ValSet(tmp_path / "empty.json")


def test_images_without_any_object_can_be_drawn_too(tmp_path):
    content = {"images": [{"id": 1, "file_name": "a.jpg", "height": 6, "width": 8}], "annotations": []}
    (tmp_path / "list.json").write_text(json.dumps({**content, "categories": [{"id": 3, "name": "cat"}]}))
    val = instances.ValSet(tmp_path / "list.json")
    (tmp_path / "r.json").write_text(json.dumps([{**BOX, "image_id": 1, "score": 0.6}]))
    assert val.truth([1]) == {1: []}
    assert [one.label for one in val.detections(val.read(tmp_path / "r.json"), [1], 0.5)[1]] == ["cat"]


def test_pixels_are_what_a_viewer_shows(tmp_path):
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:2] = (255, 0, 0)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "plain.png")
    np.testing.assert_array_equal(instances.read_pixels(tmp_path / "plain.png"), pixels)
    turned = Image.Exif()
    turned[0x0112] = 6  # a camera held upright: to be turned a quarter clockwise
    image.save(tmp_path / "turned.png", exif=turned)
    np.testing.assert_array_equal(instances.read_pixels(tmp_path / "turned.png"), np.rot90(pixels, -1))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    for name in ("broken.jpg", "none.jpg"):
        with pytest.raises(InputError, match="expected an image, found"):
            instances.read_pixels(tmp_path / name)
