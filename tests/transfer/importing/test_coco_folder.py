import json
from pathlib import Path

import pytest

from tests.cases.tool_folders import write_images
from transfer.data import coco
from transfer.errors import InputError
from transfer.importing.coco_folder import check_contents, content_of, write
from transfer.importing.objects import DrawnObject, LabelledImage
from transfer.importing.tally import Tally


@pytest.fixture
def image(tmp_path):
    write_images(tmp_path, ["a.png"])
    drawn = [DrawnObject("dog", "x", box=(1.25, 2, 3, 4)), DrawnObject("cat", "y", box=(5, 5, 0, 1))]
    return LabelledImage(tmp_path / "a.png", Path("a.png"), 64, 48, drawn)


def test_ids_count_from_one_and_classes_keep_their_order(image):
    tally = Tally()
    content = content_of([image, image], ["cat", "dog"], tally, masks=True)
    assert [c["name"] for c in content["categories"]] == ["cat", "dog"]
    assert [(a["id"], a["image_id"], a["category_id"]) for a in content["annotations"]] == [(1, 1, 2), (2, 2, 2)]
    assert tally.counts == {"empty box": 2}


def test_what_is_written_is_what_is_read(image, tmp_path):
    tally = Tally()
    parts = {"train": [image]}
    contents = {"train": content_of([image], ["cat", "dog"], tally, masks=True)}
    assert write(tmp_path / "out", parts, contents, "copy", None, tally) == 0
    assert json.loads((tmp_path / "out/train.json").read_text()) == contents["train"]
    assert coco.read_coco(tmp_path / "out/images", tmp_path / "out/train.json").content == contents["train"]
    assert contents["train"]["images"] == [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}]


def test_a_file_that_reads_back_as_another_is_noticed(image, tmp_path):
    tally = Tally()
    content = content_of([image], ["cat", "dog"], tally, masks=True)
    content["categories"][1]["supercategory"] = "cat"  # then "cat" is a placeholder to the reader
    with pytest.raises(RuntimeError, match="does not read back"):
        write(tmp_path / "out", {"train": [image]}, {"train": content}, "copy", None, tally)


def test_a_mask_far_from_its_box_is_refused(image):
    image.objects[:] = [DrawnObject("cat", "x", box=(40, 30, 5, 5), polygons=[[1, 1, 9, 1, 9, 9, 1, 9]])]
    tally = Tally()
    content = content_of([image], ["cat"], tally, masks=True)
    with pytest.raises(InputError, match="1 masks outside their own box"):
        check_contents(Path("source"), {"train": content}, tally)


def test_a_set_without_objects_is_refused(image):
    image.objects.clear()
    content = content_of([image], ["cat"], Tally(), masks=True)
    with pytest.raises(InputError, match="source: expected objects, found none"):
        check_contents(Path("source"), {"train": content}, Tally())
