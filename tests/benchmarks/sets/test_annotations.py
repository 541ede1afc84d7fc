import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from pycocotools import mask as rle

from benchmarks.sets.annotations import coco, outlines, visible_part, voc

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SIDE = 48


def disc(x, y, radius):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def rasterised(polygons):
    return rle.decode(rle.merge(rle.frPyObjects(polygons, SIDE, SIDE))).astype(bool)


def test_outlines_rasterise_to_the_mask_but_for_its_rim():
    mask = disc(20, 22, 14) & ~disc(36, 22, 8)
    back = rasterised(outlines(mask))
    assert (back & mask).sum() / (back | mask).sum() > 0.97


def test_each_piece_has_its_outline_and_specks_have_none():
    mask = disc(10, 10, 6) | disc(35, 35, 6)
    mask[2, 40] = True
    assert len(outlines(mask)) == 2
    assert not rasterised(outlines(mask))[2, 40]


def test_box_and_area_count_pixels():
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[5:9, 10:30] = True
    mask[5, 10] = False
    part = visible_part("chip", mask)
    assert (part.category, part.box, part.area) == ("chip", (10, 5, 20, 4), 79)


def test_what_has_no_outline_is_not_described():
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[::4, ::4] = True
    assert visible_part("chip", mask) is None


def test_coco_numbers_images_annotations_and_categories_from_one():
    one, two = visible_part("chip", disc(10, 10, 6)), visible_part("blot", disc(30, 30, 6))
    content = coco([("a.jpg", [one, two]), ("b.jpg", []), ("c.jpg", [two])], ["blot", "chip"], SIDE, 7)
    assert [(i["id"], i["file_name"], i["width"]) for i in content["images"]] == [
        (1, "a.jpg", SIDE),
        (2, "b.jpg", SIDE),
        (3, "c.jpg", SIDE),
    ]
    entries = [(a["id"], a["image_id"], a["category_id"], a["bbox"]) for a in content["annotations"]]
    assert entries == [(1, 1, 2, list(one.box)), (2, 1, 1, list(two.box)), (3, 3, 1, list(two.box))]
    assert content["categories"] == [{"id": 1, "name": "blot"}, {"id": 2, "name": "chip"}]
    assert content["info"]["seed"] == 7


def test_voc_boxes_count_from_one_and_include_the_last_pixel():
    root = ElementTree.fromstring(voc("000003.jpg", SIDE, [visible_part("chip", disc(10, 12, 6))]))
    assert root.findtext("filename") == "000003.jpg"
    assert [root.findtext(f"size/{k}") for k in ("width", "height", "depth")] == ["48", "48", "3"]
    assert root.findtext("object/name") == "chip"
    assert [int(e.text) for e in root.find("object/bndbox")] == [5, 7, 17, 19]
