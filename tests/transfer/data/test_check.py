import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.cases.coco_sets import edit, write_coco
from transfer.data import check
from transfer.data import coco as datasets
from transfer.data.rules import RULES
from transfer.errors import InputError
from transfer.evaluation import ground_truth


@pytest.fixture
def coco(tmp_path):
    return write_coco(tmp_path / "set")


def first(content):
    return content["annotations"][0]


def lvis(content, **fields):
    content["images"][0].update(neg_category_ids=[1], not_exhaustive_category_ids=[], **fields)


def square(content):
    """The first object's corners and polygon: x1, y1, x2, y2."""
    x, y, w, h = first(content)["bbox"]
    return x, y, x + w, y + h


def as_corners(content):
    x1, y1, x2, y2 = square(content)
    first(content).update(bbox=[x1, y1, x2, y2], area=(x2 - x1) * (y2 - y1))


def upside_down(content):
    x1, y1, x2, y2 = square(content)
    first(content).update(segmentation=[[x1, 64 - y1, x2, 64 - y1, x2, 64 - y2, x1, 64 - y2]])


def away(content):
    x1, _, _, _ = square(content)
    x = 0 if x1 > 30 else 40
    first(content).update(segmentation=[[x, 0, x + 24, 0, x + 24, 9, x, 9]], area=216)


# rule -> ways to break it in a good set of four images of 64 x 64 with a square of 24 x 24 and its polygon each
DAMAGES = {
    "no object": [lambda c: c["images"].append("x"), lambda c: c["annotations"].append([])],
    "id": [
        lambda c: c["images"][0].update(id=None),
        lambda c: first(c).update(image_id=1.5),
        lambda c: first(c).update(id=[1]),
        lambda c: c["categories"][0].update(id=True),
        lambda c: first(c).update(category_id={}),
        lambda c: c["images"][0].update(id="a\nb"),
        lambda c: c["images"][0].update(id=float(2**60)),
    ],
    "mixed ids": [lambda c: c["images"].append({**c["images"][0], "id": "one"})],
    "duplicate image": [lambda c: c["images"].append(dict(c["images"][0])), lambda c: c["images"][1].update(id=1.0)],
    "duplicate annotation": [lambda c: first(c).update(id=2)],
    "duplicate category": [lambda c: c["categories"].append({"id": 1, "name": "new"})],
    "duplicate name": [lambda c: c["categories"][1].update(name="square")],
    "name": [
        lambda c: c["categories"][0].update(name=""),
        lambda c: c["categories"][0].update(name="a\nb"),
        lambda c: c["categories"][0].update(name=5),
        lambda c: c["categories"][0].update(name="\ud800"),
    ],
    "file_name": [
        lambda c: c["images"][0].pop("file_name"),
        lambda c: c["images"][0].update(file_name="a\0b"),
        lambda c: c["images"][0].update(file_name=["0.png"]),
    ],
    "size": [
        lambda c: c["images"][0].update(width=0),
        lambda c: c["images"][0].update(height=-64),
        lambda c: c["images"][0].update(width="64"),
        lambda c: c["images"][0].update(width=64.5),
        lambda c: c["images"][0].update(width=True),
        lambda c: c["images"][0].update(width=10**9, height=10**9),
        lambda c: c["images"][0].pop("width"),
    ],
    "frequency": [lambda c: (lvis(c), c["categories"][0].update(frequency="x"))],
    "lvis ids": [lambda c: lvis(c) or broken_lists(c)],
    "unknown image": [lambda c: first(c).update(image_id=77)],
    "unknown category": [lambda c: first(c).update(category_id=9)],
    "bbox": [
        lambda c: first(c).update(bbox=[1, 2, 3]),
        lambda c: first(c).update(bbox=[1, 2, 3, float("nan")]),
        lambda c: first(c).update(bbox=[1, 2, 3, "4"]),
        lambda c: first(c).update(bbox=[1, 2, 3, True]),
        lambda c: first(c).update(bbox=[1, 2, 3, 10**400]),
        lambda c: first(c).update(bbox={"x": 1}),
        lambda c: first(c).pop("bbox"),
    ],
    "area": [
        lambda c: first(c).pop("area"),
        lambda c: first(c).update(area=-1),
        lambda c: first(c).update(area="576"),
        lambda c: first(c).update(area=10**400),
        lambda c: first(c).update(area=float("nan")),
    ],
    "iscrowd": [lambda c: first(c).update(iscrowd=2), lambda c: first(c).update(iscrowd="0")],
    "ignore": [lambda c: first(c).update(ignore=1)],
    "empty box": [lambda c: first(c).update(bbox=[1, 2, 0, 5]), lambda c: first(c).update(bbox=[9, 9, -4, -4])],
    "fractions": [
        lambda c: first(c).update(bbox=[v / 64 for v in first(c)["bbox"]]),
        lambda c: first(c).update(bbox=[0.7, 0.6, 0.5, 0.7]),  # centre and size
    ],
    "corners": [as_corners, lambda c: (as_corners(c), first(c).pop("segmentation"))],
    "box outside": [
        lambda c: first(c).update(bbox=[50, 2, 30, 5]),
        lambda c: first(c).update(bbox=[-5, 2, 30, 5]),
        lambda c: first(c).update(bbox=[500, 500, 30, 5]),
    ],
    "whole area": [lambda c: first(c).update(area=64 * 64)],
    "area contradicts": [
        lambda c: first(c).update(area=2000),
        lambda c: first(c).update(area=100),
        lambda c: first(c).update(area=0),
    ],
    "no mask": [lambda c: first(c).update(segmentation=[]), lambda c: first(c).pop("segmentation")],
    "mask kind": [
        lambda c: first(c).update(segmentation={"size": [64, 64]}),
        lambda c: first(c).update(segmentation=5),
        lambda c: first(c).update(segmentation=[[None] * 6]),
        lambda c: first(c).update(segmentation=[{}]),
        lambda c: first(c).update(segmentation={"size": [64, 64], "counts": [4096.0]}),
    ],
    "mask pairs": [lambda c: first(c).update(segmentation=[[[1, 1], [9, 1], [9, 9]]])],
    "mask flat": [lambda c: first(c).update(segmentation=[1, 1, 9, 1, 9, 9])],
    "mask text": [
        lambda c: first(c).update(segmentation="square"),
        lambda c: first(c).update(segmentation=[["1", "1", "9", "1", "9", "9"]]),
        lambda c: first(c).update(segmentation={"size": [64, 64], "counts": ["4096"]}),
    ],
    "mask numbers": [
        lambda c: first(c)["segmentation"][0].append(float("nan")) or first(c)["segmentation"][0].append(1),
        lambda c: first(c).update(segmentation=[[1, 1, 9, 1, 9, 10**400]]),
        lambda c: first(c).update(segmentation=[[1, 1, 9, 1, 9, float("inf")]]),
    ],
    "mask reach": [
        lambda c: first(c).update(segmentation=[[1, 1, 9, 1, 9, 2e8]]),
        lambda c: first(c).update(segmentation=[[1, 1, 9, 1, -65, 5]]),
    ],
    "code size": [
        lambda c: first(c).update(segmentation={"size": [32, 64], "counts": [2048]}),
        lambda c: first(c).update(segmentation={"size": [64.0, 64.0], "counts": [4096]}),
    ],
    "code runs": [
        lambda c: first(c).update(segmentation={"size": [64, 64], "counts": [4000]}),
        lambda c: first(c).update(segmentation={"size": [64, 64], "counts": [5000, -904]}),
        lambda c: first(c).update(segmentation={"size": [64, 64], "counts": "~~~~"}),
        lambda c: first(c).update(segmentation={"size": [64, 64], "counts": "0"}),
        lambda c: first(c).update(segmentation={"size": [64, 64], "counts": "中"}),
    ],
    "empty mask": [
        lambda c: first(c).update(segmentation=[[1, 1, 2, 2]]),
        lambda c: first(c).update(segmentation={"size": [64, 64], "counts": [4096]}),
    ],
    "mask outside": [lambda c: first(c)["segmentation"][0].__setitem__(0, -20)],
    "mask off box": [away],
    "upside down": [upside_down],
    "missing file": [
        lambda c: c["images"][0].update(file_name="gone.png"),
        lambda c: c["images"][0].update(file_name="x" * 5000),
    ],
}


def broken_lists(content):
    content["images"][0].update(neg_category_ids=5)


@pytest.mark.parametrize(("rule", "which"), [(rule, i) for rule, ways in DAMAGES.items() for i in range(len(ways))])
def test_one_line_names_the_file_the_entry_and_what_to_do(coco, rule, which):
    edit(coco[1], DAMAGES[rule][which])
    with pytest.raises(InputError) as error:
        check.check(datasets.read_coco(*coco), masks=True)
    line = str(error.value)
    assert f"1 {RULES[rule].what} (first: " in line
    assert f"): {RULES[rule].advice}" in line
    assert line.startswith(f"{coco[1]}: expected ")
    assert len(line.splitlines()) == 1
    assert len(line) < 600 + len(coco[1]) + (5000 if "xxxx" in line else 0)


def test_every_rule_is_broken_by_a_test():
    elsewhere = {"placeholder", "lvis unknown", "short polygon", "unreadable", "other size", "stored size", "same file"}
    assert DAMAGES.keys() | elsewhere == RULES.keys()
    assert not DAMAGES.keys() & elsewhere


@pytest.mark.parametrize("task", ["bbox", "segm"])
@pytest.mark.parametrize("rule", [rule for rule in DAMAGES if rule not in ("missing file", "file_name")])
def test_measuring_refuses_what_training_refuses(coco, rule, task):
    """One reader: but of the images measuring knows only the sizes, and a box is measured whatever the mask is."""
    about_masks = rule.startswith(("mask ", "code ", "no mask", "empty mask", "upside"))
    edit(coco[1], DAMAGES[rule][0])
    if task == "bbox" and about_masks:
        assert not ground_truth.read(Path(coco[1]), [task]).has_masks
        return
    with pytest.raises(InputError) as error:
        ground_truth.read(Path(coco[1]), [task])
    assert RULES[rule].what in str(error.value)
    assert len(str(error.value).splitlines()) == 1


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
    edit(coco[1], lambda c: first(c).update(bbox=[1, 1, 5, 5], area=25))
    assert check.check(datasets.read_coco(*coco), masks=False) == []


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


def test_annotations_are_of_the_upright_image_and_a_file_of_the_stored_one_is_refused(coco):
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (48, 64)).save(Path(coco[0]) / "0.jpg", exif=turned)
    edit(coco[1], lambda c: c["images"][0].update(file_name="0.jpg", width=48, height=64))
    with pytest.raises(InputError, match=r"1 images whose annotations are of the file before EXIF turns it"):
        check.check(datasets.read_coco(*coco), masks=False)


def test_images_without_a_rule_for_their_mode_are_refused(coco):
    Image.new("F", (64, 64)).save(Path(coco[0]) / "0.tiff")
    edit(coco[1], lambda c: c["images"][0].update(file_name="0.tiff"))
    with pytest.raises(InputError, match=r"1 unreadable images \(first: 0.tiff, TIFF in mode F"):
        check.check(datasets.read_coco(*coco), masks=False)


def test_one_file_under_two_image_ids_is_counted(coco):
    edit(coco[1], lambda c: c["images"].append({**c["images"][0], "id": 9}))
    (line,) = check.check(datasets.read_coco(*coco), masks=True)
    assert line == "1 images that name a file which another image names (first: 0.png): list each once"


def test_polygons_of_two_points_beside_others_are_left_out_and_counted(coco):
    whole = datasets.read_coco(*coco).content["annotations"][0]["segmentation"]
    edit(coco[1], lambda c: first(c)["segmentation"].append([5, 5, 9, 9]))
    data = datasets.read_coco(*coco)
    (line,) = check.check(data, masks=True)
    assert line.startswith("1 polygons of fewer than three points (first: annotation 1)")
    assert data.content["annotations"][0]["segmentation"] == whole


def test_what_was_checked_is_remembered_by_the_files_content(coco, monkeypatch):
    check.check(datasets.read_coco(*coco), masks=True)
    monkeypatch.setattr(check, "check_objects", lambda *a, **k: pytest.fail("checked twice"))
    check.check(datasets.read_coco(*coco), masks=True)
    edit(coco[1], lambda c: c.update(info={"changed": True}))
    with pytest.raises(pytest.fail.Exception):
        check.check(datasets.read_coco(*coco), masks=True)


def test_areas_of_the_box_or_of_the_mask_are_both_right(coco):
    edit(coco[1], lambda c: first(c).update(area=first(c)["bbox"][2] * first(c)["bbox"][3]))
    edit(
        coco[1], lambda c: first(c).update(segmentation=[[*square(c)[:2], square(c)[2], square(c)[1], *square(c)[2:]]])
    )
    for area in (288, 576):  # of the triangle, of the box
        edit(coco[1], lambda c, area=area: first(c).update(area=area))
        assert check.check(datasets.read_coco(*coco), masks=True) == []
    edit(coco[1], lambda c: [a.pop("segmentation") for a in c["annotations"]])
    assert check.check(datasets.read_coco(*coco), masks=False) == []


def test_an_orientation_at_the_end_of_a_large_png_is_read_too(tmp_path, monkeypatch):
    """EXIF may stand behind the pixels: the reader that turns the image finds it there, and so has the check."""
    images, ann = write_coco(tmp_path, 1)
    edit(ann, lambda content: content["images"][0].update(width=80))
    plain = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)).save(plain, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    content = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    (tmp_path / "images/0.png").write_bytes(plain.getvalue()[:-12] + chunk + plain.getvalue()[-12:])
    monkeypatch.setattr(check, "_HEADER", 1024)
    with pytest.raises(InputError, match="1 images whose annotations are of the file before EXIF turns it"):
        check.check(datasets.read_coco(images, ann), masks=False)
