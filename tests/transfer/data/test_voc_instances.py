import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from pycocotools import mask as coco_mask

from tests.cases.coco_sets import write_coco
from tests.cases.detector_sets import write_voc
from transfer.data import voc, voc_instances


def test_the_catalogs_names_of_vocs_masks(tmp_path, monkeypatch):
    images, ann = write_coco(tmp_path / "pascal", 3, classes=("person", "car"))
    write_voc(images, ann, tmp_path / "VOC2012", ("train", "val"))
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    records = voc_instances.load("voc_2012_instance_val")
    assert len(records) == 3
    assert records[0]["annotations"][0]["category_id"] == voc.PASCAL.index("person")
    assert coco_mask.area(records[0]["annotations"][0]["segmentation"]) == 24 * 24
    box = records[0]["annotations"][0]["bbox"]
    assert records[0]["annotations"][0]["bbox_mode"] == BoxMode.XYWH_ABS
    assert coco_mask.toBbox(records[0]["annotations"][0]["segmentation"]).tolist() == box


@pytest.mark.parametrize("name", voc_instances.NAMES)
def test_the_names_stand_in_detectron2s_catalog(name):
    assert name in DatasetCatalog
    about = MetadataCatalog.get(name)
    assert (about.evaluator_type, about.thing_classes) == ("coco", list(voc.PASCAL))


@pytest.mark.parametrize("place", ["SBD", "SBD/dataset"])
def test_sbd_belongs_to_training_alone(tmp_path, monkeypatch, place):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    (tmp_path / place / "inst").mkdir(parents=True)
    assert voc_instances.split("voc_2012_instance_val") == voc.VocSplit(tmp_path / "VOC2012", "val")
    split = voc_instances.split("voc_2012_instance_trainaug")
    assert split == voc.VocSplit(tmp_path / "VOC2012", "train", tmp_path / place)
