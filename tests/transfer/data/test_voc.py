import json
from pathlib import Path

import numpy as np
import pytest
from detectron2.data.datasets import load_voc_instances
from PIL import Image
from pycocotools import mask as coco_mask
from scipy.io import savemat

from tests.cases.coco_sets import write_coco
from tests.cases.detector_sets import write_voc
from transfer.data import check, voc
from transfer.data.voc import VocSplit
from transfer.errors import InputError


def one_object(name):
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    size = "<size><width>64</width><height>64</height></size>"
    return f"<annotation>{size}<object><name>{name}</name>{box}</object></annotation>"


@pytest.fixture
def coco(tmp_path):
    return write_coco(tmp_path / "coco", 4)


@pytest.fixture
def root(tmp_path, coco):
    return write_voc(*coco, tmp_path / "VOC2007", ("trainval", "train", "val", "test"), difficult=[1])


def test_boxes_are_those_that_detectron2_reads(root):
    data = voc.read_voc([voc.parse(f"{root}:trainval")], ("cross", "square"), masks=False)
    theirs = load_voc_instances(str(root), "trainval", ["cross", "square"])
    assert data.n_images == len(theirs) == 4
    assert check.check(data, masks=False) == []
    for image, annotation, expected in zip(data.content["images"], data.content["annotations"], theirs, strict=True):
        x, y, w, h = annotation["bbox"]
        (entry,) = expected["annotations"]
        assert [x, y, x + w, y + h] == entry["bbox"]
        assert annotation["category_id"] - 1 == entry["category_id"]
        assert str(data.images / image["file_name"]) == expected["file_name"]
    assert [a["difficult"] for a in data.content["annotations"]] == [0, 1, 0, 0]


def test_masks_are_the_squares_that_were_drawn(root, coco):
    data = voc.read_voc([voc.parse(f"{root}:val")], ("cross", "square"), masks=True)
    assert data.has_rle
    assert check.check(data, masks=True) == []
    for annotation, drawn in zip(
        data.content["annotations"], json.loads(Path(coco[1]).read_text())["annotations"], strict=True
    ):
        assert coco_mask.toBbox(annotation["segmentation"]).tolist() == drawn["bbox"] == annotation["bbox"]
        assert annotation["area"] == drawn["area"]


def test_what_is_hidden_whole_is_left_out_and_borders_belong_to_nothing(root):
    numbers = np.zeros((64, 64), dtype=np.uint8)
    Image.fromarray(numbers).convert("P").save(root / "SegmentationObject/0.png")
    numbers[5:9, 5:9] = 1
    numbers[5, 5:9] = 255
    Image.fromarray(numbers).convert("P").save(root / "SegmentationObject/1.png")
    data = voc.read_voc([VocSplit(root, "val")], ("cross", "square"), masks=True)
    assert [a["image_id"] for a in data.content["annotations"]] == [2, 3, 4]
    assert data.content["annotations"][0]["area"] == 12


def test_classes_are_read_from_the_folder_and_the_fingerprint_from_the_content(root):
    split = VocSplit(root, "trainval")
    assert voc.classes_of([split]) == ("cross", "square")
    first = voc.read_voc([split], ("cross", "square"), masks=False)
    assert voc.read_voc([split], ("cross", "square"), masks=False).fingerprint == first.fingerprint
    xml = root / "Annotations/0.xml"
    xml.write_text(xml.read_text().replace("<xmin>", "<xmin>1"))
    assert voc.read_voc([split], ("cross", "square"), masks=False).fingerprint != first.fingerprint


def test_two_folders_become_one_set(root, coco, tmp_path):
    other = write_voc(*coco, tmp_path / "deeper/VOC2012")
    data = voc.read_voc([VocSplit(root, "test"), VocSplit(other, "test")], ("cross", "square"), masks=False)
    assert data.n_images == 8
    assert len({a["id"] for a in data.content["annotations"]}) == 8
    assert check.check(data, masks=False) == []  # all files are found below the folder they share


def test_sbds_masks_come_without_vocs_own_images(root, tmp_path):
    sbd = tmp_path / "SBD"
    (sbd / "inst").mkdir(parents=True)
    (sbd / "train.txt").write_text("0\n9\n")  # 0 is VOC's own
    (sbd / "val.txt").write_text("1\n")
    numbers = np.zeros((64, 64), dtype=np.uint8)
    numbers[10:20, 30:50] = 1
    truth = {"Segmentation": numbers, "Categories": np.array([[2]])}
    savemat(sbd / "inst/9.mat", {"GTinst": truth})
    Image.new("RGB", (64, 64)).save(root / "JPEGImages/9.jpg")
    split = VocSplit(root, "train", sbd)
    assert voc.sbd_stems(split) == ["9"]
    data = voc.read_voc([split], ("cross", "square"), masks=True)
    assert data.n_images == 5
    last = data.content["annotations"][-1]
    assert (last["bbox"], last["area"], last["category_id"]) == ([30, 10, 20, 10], 200, 2)
    assert check.check(data, masks=True) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: (r / "Annotations/0.xml").unlink(), "0.xml: expected the image's annotations, found nothing"),
        (lambda r: (r / "Annotations/0.xml").write_text("<a>"), "0.xml: expected a VOC annotation file, found"),
        (lambda r: (r / "Annotations/0.xml").write_text("<a></a>"), "found no <size>"),
        (lambda r: (r / "SegmentationObject/0.png").unlink(), "expected the image's masks, found nothing; train with"),
        (lambda r: Image.new("P", (9, 9)).save(r / "SegmentationObject/0.png"), "expected numbers of objects, 64x64"),
        (lambda r: (r / "ImageSets/Segmentation/val.txt").unlink(), "found none; lists there: test, train, trainval"),
        (lambda r: (r / "ImageSets/Segmentation/val.txt").write_text(""), "found an empty file"),
        (
            lambda r: (r / "Annotations/0.xml").write_text(one_object("x")),
            "expected the classes of the training data, found x",
        ),
    ],
)
def test_what_is_wrong_with_a_folder(root, change, message):
    change(root)
    with pytest.raises(InputError) as error:
        voc.read_voc([VocSplit(root, "val")], ("cross", "square"), masks=True)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_split(root, tmp_path):
    for text in (str(root), f"{root}:", ":val"):
        with pytest.raises(InputError, match="expected ROOT:SPLIT"):
            voc.parse(text)
    with pytest.raises(InputError, match="expected a VOC folder"):
        voc.parse(f"{tmp_path}:val")
    assert voc.parse(f"{root}:val").year == 2007


@pytest.mark.parametrize("tag", ["0.jpg", "elsewhere/0.JPG", "C:\\\\data\\\\0.png", "0", "", "another.jpeg"])
@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpeg", ".bmp", ".tif"])
def test_an_image_of_any_format_beside_the_xml_is_its_image(root, suffix, tag):
    (root / "JPEGImages/0.jpg").unlink()
    Image.new("RGB", (64, 64)).save(root / f"JPEGImages/0{suffix}")
    xml = root / "Annotations/0.xml"
    xml.write_text(xml.read_text().replace("<size>", f"<filename>{tag}</filename><size>"))
    data = voc.read_voc([VocSplit(root, "trainval")], ("cross", "square"), masks=False)
    assert Path(data.content["images"][0]["file_name"]).name == f"0{suffix}"
    assert check.check(data, masks=False) == []


def test_a_jpeg_comes_first_and_what_the_tag_says_last(root):
    Image.new("RGB", (64, 64)).save(root / "JPEGImages/0.png")
    (root / "JPEGImages/1.jpg").rename(root / "JPEGImages/renamed.jpg")
    xml = root / "Annotations/1.xml"
    xml.write_text(xml.read_text().replace("<size>", "<filename>some/folder/renamed.jpg</filename><size>"))
    data = voc.read_voc([VocSplit(root, "trainval")], ("cross", "square"), masks=False)
    assert [Path(i["file_name"]).name for i in data.content["images"]][:2] == ["0.jpg", "renamed.jpg"]


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("a b\n c d \n", ["a b", "c d"]),
        ("a b  1\nc d -1\ne  0\n", ["a b", "c d", "e"]),
        ("photo 1\nphoto 2 1\nphoto -1\n", ["photo 1", "photo 2", "photo"]),  # "photo 1" is an image of its own
        ("\ufeffone\r\ntwo\r\n", ["one", "two"]),
    ],
)
def test_names_with_spaces_and_the_flags_of_class_lists(root, lines, names):
    (root / "Annotations/photo 1.xml").write_text(one_object("cross"))
    (root / "ImageSets/Main/odd.txt").write_text(lines, encoding="utf-8")
    assert voc.stems(VocSplit(root, "odd"), masks=False) == names


def test_what_systems_leave_beside_the_xml_files_is_not_read(root):
    (root / "Annotations/._0.xml").write_bytes(b"\0\5\26\7")
    assert voc.classes_of([VocSplit(root, "trainval")]) == ("cross", "square")
