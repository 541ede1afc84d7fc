"""The detector sees what the one decoder makes of a file, in training, evaluation and prediction."""

import copy

import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.data import DatasetMapper
from detectron2.structures import BoxMode
from PIL import Image

from pretrain.data.pixels import decode
from transfer.finetuning import mapper

GREY16 = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80) * 12


@pytest.fixture
def cfg():
    cfg = get_cfg()
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST = (64,), 64
    cfg.INPUT.RANDOM_FLIP = "none"
    cfg.MODEL.MASK_ON = True
    return cfg


def record(file, width=80, height=64):
    return {"file_name": str(file), "height": height, "width": width, "image_id": 1, "annotations": []}


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("training", [True, False])
def test_a_photograph_is_what_detectron2s_own_mapper_makes_of_it(tmp_path, cfg, channels, training):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.jpg", quality=90)
    cfg.INPUT.FORMAT = channels
    square = {"bbox": [4, 5, 20, 10], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0, "iscrowd": 0}
    square["segmentation"] = [[4, 5, 24, 5, 24, 15, 4, 15]]
    one = {**record(tmp_path / "x.jpg"), "annotations": [square]}
    ours = mapper.Mapper(cfg, is_train=training)(copy.deepcopy(one))
    theirs = DatasetMapper(cfg, is_train=training)(copy.deepcopy(one))
    assert torch.equal(ours["image"], theirs["image"])
    assert ours.keys() == theirs.keys()
    if training:
        assert torch.equal(ours["instances"].gt_boxes.tensor, theirs["instances"].gt_boxes.tensor)
        assert torch.equal(ours["instances"].gt_masks.area(), theirs["instances"].gt_masks.area())


def test_16_bits_are_grey_and_not_white(tmp_path, cfg):
    Image.fromarray(GREY16).save(tmp_path / "x.png")
    cfg.INPUT.FORMAT = "RGB"
    image = mapper.Mapper(cfg, is_train=False)(record(tmp_path / "x.png"))["image"]
    assert image.tolist() == np.repeat((GREY16 >> 8)[None], 3, 0).tolist()
    encoded = (tmp_path / "x.png").read_bytes()
    assert np.array_equal(mapper.read(tmp_path / "x.png", "RGB"), decode(encoded))


def test_an_object_with_an_empty_mask_is_left_out_where_masks_are_trained(tmp_path, cfg):
    Image.new("RGB", (80, 64)).save(tmp_path / "x.png")
    box = {"bbox": [4, 5, 20, 10], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0, "iscrowd": 0}
    entries = [{**box, "segmentation": []}, {**box, "segmentation": [[4, 5, 24, 5, 24, 15]]}]
    one = {**record(tmp_path / "x.png"), "annotations": entries}
    assert len(mapper.Mapper(cfg, is_train=True)(one)["instances"]) == 1
    cfg.MODEL.MASK_ON = False
    assert len(mapper.Mapper(cfg, is_train=True)(one)["instances"]) == 2


@pytest.mark.parametrize("content", [b"no image", None])
def test_what_cannot_be_read_raises_what_the_loader_takes_for_it(tmp_path, cfg, content):
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        mapper.Mapper(cfg, is_train=False)(record(tmp_path / "x.png"))
