import hashlib
import json
from pathlib import Path

import pytest
from pycocotools import mask as coco_mask

from tests.coco_sets import edit, write_coco, write_json
from transfer import datasets
from transfer.errors import InputError


@pytest.fixture
def coco(tmp_path):
    return write_coco(tmp_path / "set")


def first(content):
    return content["annotations"][0]


def test_what_a_set_holds(coco):
    data = datasets.read_coco(*coco)
    assert (data.n_images, data.n_instances, data.classes) == (4, 4, ("square", "cross"))
    assert data.fingerprint == hashlib.sha256(Path(coco[1]).read_bytes()).hexdigest()
    assert datasets.check(data, masks=True) == []
    assert not data.has_rle


def test_classes_come_in_the_order_of_their_ids(coco):
    edit(coco[1], lambda c: c["categories"].reverse())
    assert datasets.read_coco(*coco).classes == ("square", "cross")


def test_run_length_codes_are_recognised_and_are_the_square(tmp_path):
    coco = write_coco(tmp_path / "rle", rle=True)
    data = datasets.read_coco(*coco)
    assert data.has_rle
    assert datasets.check(data, masks=True) == []
    annotation = data.content["annotations"][0]
    code = coco_mask.frPyObjects(annotation["segmentation"], 64, 64)
    assert coco_mask.toBbox(code).tolist() == annotation["bbox"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["images"][0].update(file_name="gone.png"), "1 missing images (first: gone.png)"),
        (lambda c: first(c).update(category_id=9), "1 annotations of unknown categories (first: category_id 9)"),
        (lambda c: first(c).update(image_id=77), "1 annotations of unknown images (first: image_id 77)"),
        (lambda c: first(c).update(id=2), "1 duplicate ids in annotations (first: 2)"),
        (lambda c: c["images"].append(dict(c["images"][0])), "1 duplicate ids in images (first: 1)"),
        (lambda c: c["categories"][1].update(name="square"), "1 duplicate category names (first: square)"),
        (lambda c: first(c).update(bbox=[1, 2, 0, 5]), "1 boxes without area (first: annotation 1 [1, 2, 0, 5])"),
        (lambda c: first(c).update(bbox=[50, 2, 30, 5]), "1 boxes outside their image"),
        (lambda c: first(c).update(bbox=[1, 2, 3]), "1 boxes that are not [x, y, width, height]"),
        (lambda c: first(c).update(bbox=[1, 2, 3, float("nan")]), "1 boxes that are not [x, y, width, height]"),
        (lambda c: first(c).update(segmentation=[]), "1 objects without a mask"),
        (lambda c: first(c).pop("segmentation"), "1 objects without a mask"),
        (lambda c: first(c).update(segmentation=[[1, 1, 2, 2]]), "1 empty masks"),
        (lambda c: first(c).update(segmentation={"size": [64, 64], "counts": [4096]}), "1 empty masks"),
        (lambda c: first(c).update(segmentation={"size": [64, 64]}), "1 masks that are neither"),
        (lambda c: first(c).update(segmentation="square"), "1 masks that are neither"),
        (lambda c: first(c).update(ignore=1), '1 annotations with "ignore"'),
        (lambda c: first(c).pop("area"), '1 annotations without "area" or "iscrowd"'),
        (lambda c: first(c).pop("iscrowd"), '1 annotations without "area" or "iscrowd"'),
    ],
)
def test_one_line_says_what_is_wrong_with_a_set(coco, change, said):
    edit(coco[1], change)
    with pytest.raises(InputError) as error:
        datasets.check(datasets.read_coco(*coco), masks=True)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_all_kinds_of_problems_are_counted_at_once(coco):
    def spoil(content):
        content["images"][0]["file_name"] = content["images"][1]["file_name"] = "gone.png"
        content["annotations"][2]["bbox"] = [0, 0, 0, 0]

    edit(coco[1], spoil)
    with pytest.raises(InputError, match=r"2 missing images .*; 1 boxes without area"):
        datasets.check(datasets.read_coco(*coco), masks=True)


def test_a_few_bad_boxes_in_a_large_set_are_told_and_left_to_detectron2(coco):
    def grow(content):
        template = first(content)
        content["annotations"] += [{**template, "id": 10 + i} for i in range(196)]
        content["annotations"][5]["bbox"] = [1, 2, 0, 5]
        content["annotations"][6]["bbox"] = [50, 2, 30, 5]

    edit(coco[1], grow)
    lines = datasets.check(datasets.read_coco(*coco), masks=True)
    assert [line.split(" (")[0] for line in lines] == ["1 boxes without area", "1 boxes outside their image"]
    edit(coco[1], lambda c: c["annotations"][7].update(bbox=[1, 2, 0, 5]))  # 3 of 200 are more than 1%
    with pytest.raises(InputError, match="2 boxes without area"):
        datasets.check(datasets.read_coco(*coco), masks=True)


def test_masks_do_not_matter_to_a_box_detector_and_crowds_need_none(coco):
    edit(coco[1], lambda c: first(c).pop("segmentation"))
    assert datasets.check(datasets.read_coco(*coco), masks=False) == []
    edit(coco[1], lambda c: first(c).update(iscrowd=1))
    assert datasets.check(datasets.read_coco(*coco), masks=True) == []


def test_a_pixel_over_the_border_is_no_problem(coco):
    edit(coco[1], lambda c: first(c).update(bbox=[-1, -1, 66, 66]))
    assert datasets.check(datasets.read_coco(*coco), masks=True) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "expected a COCO object, found a list"),
        ({"images": []}, 'expected a list "images" with entries, found 0 entries'),
        ({"a": 1}, 'expected a list "images" with entries, found a'),
        (
            {"images": [{"id": 1, "file_name": "0.png", "width": 64}]},
            'images[0]: expected "height" (int), found None',
        ),
    ],
)
def test_what_is_no_coco_file(tmp_path, content, said):
    write_json(tmp_path / "ann.json", content)
    with pytest.raises(InputError) as error:
        datasets.read_coco(tmp_path, tmp_path / "ann.json")
    assert said in str(error.value)


def test_missing_folder_file_and_broken_json(tmp_path, coco):
    with pytest.raises(InputError, match="nowhere: expected a folder of images, found nothing"):
        datasets.read_coco(tmp_path / "nowhere", coco[1])
    with pytest.raises(InputError, match=r"none\.json: expected a COCO annotation file, found nothing"):
        datasets.read_coco(coco[0], tmp_path / "none.json")
    (tmp_path / "half.json").write_text(Path(coco[1]).read_text()[:-5])
    with pytest.raises(InputError, match=r"half\.json: expected a COCO annotation file, found \w+"):
        datasets.read_coco(coco[0], tmp_path / "half.json")


def test_categories_of_train_and_val():
    datasets.check_same_classes(("a", "b"), ("a", "b"))
    with pytest.raises(InputError, match="only in train: b; only in val: c"):
        datasets.check_same_classes(("a", "b"), ("a", "c"))
    with pytest.raises(InputError, match="train in the order a, b, val in the order b, a"):
        datasets.check_same_classes(("a", "b"), ("b", "a"))


def test_the_helper_writes_what_pycocotools_reads(coco):
    content = json.loads(Path(coco[1]).read_text())
    polygon = content["annotations"][0]["segmentation"]
    assert coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(polygon, 64, 64))) == 24 * 24
