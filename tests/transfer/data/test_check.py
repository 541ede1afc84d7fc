from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.cases.coco_sets import edit, write_coco
from transfer.data import check
from transfer.data import coco as datasets
from transfer.errors import InputError


@pytest.fixture
def coco(tmp_path):
    return write_coco(tmp_path / "set")


def first(content):
    return content["annotations"][0]


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
        check.check(datasets.read_coco(*coco), masks=True)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_all_kinds_of_problems_are_counted_at_once(coco):
    def spoil(content):
        content["images"][0]["file_name"] = content["images"][1]["file_name"] = "gone.png"
        content["annotations"][2]["bbox"] = [0, 0, 0, 0]

    edit(coco[1], spoil)
    with pytest.raises(InputError, match=r"2 missing images .*; 1 boxes without area"):
        check.check(datasets.read_coco(*coco), masks=True)


def test_a_few_bad_boxes_in_a_large_set_are_told_and_left_to_detectron2(coco):
    def grow(content):
        template = first(content)
        content["annotations"] += [{**template, "id": 10 + i} for i in range(196)]
        content["annotations"][5]["bbox"] = [1, 2, 0, 5]
        content["annotations"][6]["bbox"] = [50, 2, 30, 5]

    edit(coco[1], grow)
    lines = check.check(datasets.read_coco(*coco), masks=True)
    assert [line.split(" (")[0] for line in lines] == ["1 boxes without area", "1 boxes outside their image"]
    edit(coco[1], lambda c: c["annotations"][7].update(bbox=[1, 2, 0, 5]))  # 3 of 200 are more than 1%
    with pytest.raises(InputError, match="2 boxes without area"):
        check.check(datasets.read_coco(*coco), masks=True)


def test_images_that_cannot_be_read_or_have_another_size(coco):
    folder = Path(coco[0])
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:20])
    (folder / "1.png").write_text("no image")
    Image.new("RGB", (64, 32)).save(folder / "2.png")
    with pytest.raises(InputError) as error:
        check.check(datasets.read_coco(*coco), masks=True)
    assert "2 unreadable images (first: 0.png" in str(error.value)
    assert "1 images of another size than the file says (first: 2.png, 64x32 for 64x64)" in str(error.value)


def test_images_that_are_turned_upright_when_read_have_their_upright_size(coco):
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (48, 64)).save(Path(coco[0]) / "0.jpg", exif=turned)
    edit(coco[1], lambda c: c["images"][0].update(file_name="0.jpg", width=64, height=48))
    edit(coco[1], lambda c: first(c).update(bbox=[1, 1, 5, 5]))
    assert check.check(datasets.read_coco(*coco), masks=True) == []


def test_only_some_headers_of_a_large_set_are_read(coco, monkeypatch):
    (Path(coco[0]) / "1.png").write_text("no image")
    monkeypatch.setattr(check, "OPENED", 2)  # of 4: the first and the third
    assert check.check(datasets.read_coco(*coco), masks=True) == []


def test_masks_do_not_matter_to_a_box_detector_and_crowds_need_none(coco):
    edit(coco[1], lambda c: first(c).pop("segmentation"))
    assert check.check(datasets.read_coco(*coco), masks=False) == []
    edit(coco[1], lambda c: first(c).update(iscrowd=1))
    assert check.check(datasets.read_coco(*coco), masks=True) == []


def test_a_pixel_over_the_border_is_no_problem(coco):
    edit(coco[1], lambda c: first(c).update(bbox=[-1, -1, 66, 66]))
    assert check.check(datasets.read_coco(*coco), masks=True) == []
