import hashlib
import json
from pathlib import Path

import pytest
from pycocotools import mask as coco_mask

from tests.cases.coco_sets import edit, write_coco, write_json
from transfer.data import check
from transfer.data import coco as datasets
from transfer.errors import InputError


@pytest.fixture
def coco(tmp_path):
    return write_coco(tmp_path / "set")


def test_what_a_set_holds(coco):
    data = datasets.read_coco(*coco)
    assert (data.n_images, data.n_instances, data.classes) == (4, 4, ("square", "cross"))
    assert data.fingerprint == hashlib.sha256(Path(coco[1]).read_bytes()).hexdigest()
    assert check.check(data, masks=True) == []
    assert not data.has_rle


def test_classes_come_in_the_order_of_their_ids(coco):
    edit(coco[1], lambda c: c["categories"].reverse())
    assert datasets.read_coco(*coco).classes == ("square", "cross")


def test_run_length_codes_are_recognised_and_are_the_square(tmp_path):
    coco = write_coco(tmp_path / "rle", rle=True)
    data = datasets.read_coco(*coco)
    assert data.has_rle
    assert check.check(data, masks=True) == []
    annotation = data.content["annotations"][0]
    code = coco_mask.frPyObjects(annotation["segmentation"], 64, 64)
    assert coco_mask.toBbox(code).tolist() == annotation["bbox"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a COCO object, found list"),
        ({"images": []}, 'expected a list "images" with entries, found 0 entries'),
        ({"a": 1}, 'expected a list "images" with entries, found "a"'),
        ([{"score": 1}], "found a list of detections"),
        (
            {"images": [1], "annotations": {}},
            'expected a list "annotations" with entries, found "images", "annotations"',
        ),
    ],
)
def test_what_is_no_coco_file(tmp_path, content, message):
    write_json(tmp_path / "ann.json", content)
    with pytest.raises(InputError) as error:
        datasets.read_coco(tmp_path, tmp_path / "ann.json")
    assert message in str(error.value)


def test_missing_folder_file_and_broken_json(tmp_path, coco):
    with pytest.raises(InputError, match="nowhere: expected a folder of images, found nothing"):
        datasets.read_coco(tmp_path / "nowhere", coco[1])
    with pytest.raises(InputError, match=r"none\.json is missing: expected a COCO annotation file, found nothing"):
        datasets.read_coco(coco[0], tmp_path / "none.json")
    (tmp_path / "half.json").write_text(Path(coco[1]).read_text()[:-5])
    with pytest.raises(InputError, match=r"half\.json is no JSON: expected a COCO annotation file, found \w+"):
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
