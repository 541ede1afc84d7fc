"""The strict reader: masks in all of COCO's forms are one mask, and each odd entry is one line."""

import json

import numpy as np
import pytest
from pycocotools import mask as rle

from pretrain.errors import InputError
from pretrain.probes.object_set import _runs, read_objects
from tests.cases.object_sets import edited, object_set

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture
def coco(tmp_path):
    return object_set(tmp_path, images=2)


def test_objects_are_read_in_the_order_of_the_file_and_classes_in_that_of_their_ids(coco):
    data = read_objects(*coco)
    assert data.classes == ("blue", "red")
    assert data.masked
    assert [item.file.name for item in data.items] == ["0.png", "1.png"]
    assert [item.labels.tolist() for item in data.items] == [[0, 1], [1, 0]]
    assert data.items[0].size == (96, 128)
    first = json.loads(coco[1].read_text())["annotations"][0]["bbox"]
    assert data.items[0].boxes[0].tolist() == [first[0], first[1], first[0] + 32, first[1] + 32]
    assert int(rle.area(data.items[0].masks[0])) == 1024


@pytest.mark.parametrize("kind", ["polygons", "runs", "text"])
def test_every_form_of_a_mask_is_the_same_mask(coco, kind):
    polygon = read_objects(*coco).items[0].masks[0]
    pixels = rle.decode(polygon)
    forms = {
        "polygons": lambda a: a["segmentation"],
        "runs": lambda _: {"size": [96, 128], "counts": _runs(polygon["counts"].decode())},
        "text": lambda _: {"size": [96, 128], "counts": rle.encode(np.asfortranarray(pixels))["counts"].decode()},
    }

    def change(content):
        content["annotations"][0]["segmentation"] = forms[kind](content["annotations"][0])

    edited(coco[1], change)
    assert np.array_equal(rle.decode(read_objects(*coco).items[0].masks[0]), pixels)


def test_the_runs_of_a_text_are_those_that_pycocotools_reads():
    rng = np.random.default_rng(0)
    for _ in range(50):
        pixels = np.asfortranarray((rng.random(tuple(rng.integers(1, 60, 2))) < rng.random()).astype(np.uint8))
        flat = pixels.ravel("F")
        changes = np.flatnonzero(np.diff(flat)) + 1
        lengths = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
        assert _runs(rle.encode(pixels)["counts"].decode()) == ([0] if flat[0] else []) + lengths


def test_crowds_are_no_objects_and_boxes_end_at_the_edge(coco):
    def change(content):
        content["annotations"][0].update(iscrowd=1, segmentation=None, bbox=[-5, 90, 10, 20])
        content["annotations"][1].update(bbox=[120, 90, 50, 50])

    edited(coco[1], change)
    item = read_objects(*coco).items[0]
    assert item.labels.tolist() == [1]
    assert item.crowds.tolist() == [[0, 90, 5, 96]]
    assert item.boxes.tolist() == [[120, 90, 128, 96]]


def test_one_object_without_a_mask_makes_a_set_of_boxes(coco):
    edited(coco[1], lambda content: content["annotations"][0].pop("segmentation"))
    assert not read_objects(*coco).masked


def on(entry, **values):
    return lambda content: content[entry][0].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("categories"), "expected an object with the lists images, annotations, categories"),
        (lambda c: c["images"].append(c["images"][0]), "images: expected every id once, found 0 twice"),
        (lambda c: c["annotations"].append(3), "annotations, entry 4: expected an object, found 3"),
        (lambda c: c["categories"].clear(), "categories: expected at least one, found none"),
        (on("images", id="a"), "images, entry 0: expected a whole number as id, found 'a'"),
        (on("images", file_name="no.png"), "image 0: expected its file in the folder, found nothing at"),
        (on("images", height=0), "image 0: expected pixels as height, found 0"),
        (on("images", height=2**20, width=2**20), "image 0: expected at most 1073741824 pixels"),
        (on("categories", name=""), "category 5: expected a text as name, found ''"),
        (on("annotations", image_id=9), "annotation 0: expected the id of an image as image_id, found 9"),
        (on("annotations", category_id=None), "annotation 0: expected the id of a category as category_id, found None"),
        (on("annotations", bbox=[0, 0, float("nan"), 3]), "annotation 0: expected four finite numbers as bbox"),
        (on("annotations", iscrowd="0"), "annotation 0: expected 0 or 1 as iscrowd, found '0'"),
        (on("annotations", bbox=[200, 0, 9, 9]), "annotation 0: expected a bbox with an area inside the image"),
        (on("annotations", segmentation=[[0, 0, 9, 9]]), "annotation 0: expected polygons of three points or more"),
        (on("annotations", segmentation=[[0, 0, 1e9, 9, 9, 9]]), "expected polygons near the image of 128x96"),
        (on("annotations", segmentation={"size": [96, 1], "counts": [96]}), "a run-length code of size [96, 128]"),
        (on("annotations", segmentation={"size": [96, 128], "counts": [9]}), "expected runs that add up to 96 * 128"),
        (on("annotations", segmentation={"size": [96, 128], "counts": "9"}), "expected runs that add up to 96 * 128"),
        (
            on("annotations", segmentation={"size": [96, 128], "counts": "\x00"}),
            "expected runs that add up to 96 * 128",
        ),
        (
            on("annotations", segmentation={"size": [96, 128]}),
            "expected runs that add up to 96 * 128 pixels, found None",
        ),
        (on("annotations", segmentation={"size": [96, 128], "counts": [12288]}), "a mask with at least one pixel"),
    ],
)
def test_an_odd_entry_is_one_line(coco, change, message):
    edited(coco[1], change)
    with pytest.raises(InputError) as error:
        read_objects(*coco)
    assert message in str(error.value)
    assert str(error.value).startswith(f"--coco {coco[1]}: ")
    assert "\n" not in str(error.value)


def test_what_is_no_set_is_one_line(coco, tmp_path):
    with pytest.raises(InputError, match="expected a folder of images, found none there"):
        read_objects(tmp_path / "nowhere", coco[1])
    with pytest.raises(InputError, match="found no readable file"):
        read_objects(coco[0], tmp_path / "nowhere.json")
    coco[1].write_text("[")
    with pytest.raises(InputError, match="expected COCO's JSON, found something else"):
        read_objects(*coco)
