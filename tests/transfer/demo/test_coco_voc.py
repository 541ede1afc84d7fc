import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from transfer.demo.coco_voc import CocoVocWriter
from transfer.demo.scenes import Scene

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    masks = np.zeros((2, 40, 50), dtype=bool)
    masks[0, 5:25, 10:30] = True
    masks[0, 10:15, 15:20] = False
    masks[1, 20:38, 28:48] = True
    masks[0] &= ~masks[1]
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    scene = Scene(image, [1, 0], masks, [7, 9], [True, False], {"photo": "noise"})
    writer = CocoVocWriter(folder, "train", ["zero", "four"], {"description": "test"})
    writer.add(scene)
    writer.add(scene)
    writer.close()
    return folder, scene


def test_pycocotools_reads_back_masks_boxes_and_areas(written):
    folder, scene = written
    coco = COCO(folder / "coco/annotations/instances_train.json")
    assert [c["name"] for c in coco.loadCats([1, 2])] == ["zero", "four"]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    assert [a["category_id"] for a in annotations] == [2, 1]
    for annotation, mask in zip(annotations, scene.masks, strict=True):
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum()
    assert annotations[1]["bbox"] == [28, 20, 20, 18]
    assert (folder / "coco/train" / coco.imgs[1]["file_name"]).exists()


def test_voc_boxes_count_from_one_and_include_the_last_pixel(written):
    folder, _ = written
    root = ElementTree.parse(folder / "voc/Annotations/train_000000.xml").getroot()
    assert [entry.findtext("name") for entry in root.iter("object")] == ["four", "zero"]
    box = root.findall("object")[1].find("bndbox")
    assert [int(box.findtext(k)) for k in ("xmin", "ymin", "xmax", "ymax")] == [29, 21, 48, 38]
    assert [entry.findtext("occluded") for entry in root.iter("object")] == ["1", "0"]


def test_voc_pngs_hold_object_and_class_numbers_in_pascals_colours(written):
    folder, scene = written
    objects = Image.open(folder / "voc/SegmentationObject/train_000001.png")
    np.testing.assert_array_equal(np.asarray(objects), scene.masks[0] * 1 + scene.masks[1] * 2)
    classes = np.asarray(Image.open(folder / "voc/SegmentationClass/train_000001.png"))
    np.testing.assert_array_equal(classes, scene.masks[0] * 2 + scene.masks[1] * 1)
    # the first colours of the VOC2012 development kit
    assert objects.getpalette()[:15] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128]


def test_both_layouts_hold_the_same_images(written):
    folder, _ = written
    names = (folder / "voc/ImageSets/Main/train.txt").read_text().split()
    images = json.loads((folder / "coco/annotations/instances_train.json").read_text())["images"]
    assert [f"{name}.jpg" for name in names] == [image["file_name"] for image in images]
    for name in names:
        pixels = (folder / "voc/JPEGImages" / f"{name}.jpg").read_bytes()
        assert pixels == (folder / "coco/train" / f"{name}.jpg").read_bytes()
