"""What a detector costs, against counts by hand."""

import logging

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from torch import nn

from tests.cases.coco_sets import write_coco
from transfer.data import splits
from transfer.detectors import config as detector_config
from transfer.finetuning import cost


class Model(nn.Module):
    """One convolution over the first image."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.frozen = nn.Parameter(torch.zeros(5), requires_grad=False)

    def forward(self, batch):
        return self.conv(batch[0]["image"].float()[None])


@pytest.fixture
def cfg(tmp_path):
    cfg = detector_config.read_config(detector_config.find_config("any_mask_rcnn_R_18_FPN_small"))
    split, _ = splits.from_files(*write_coco(tmp_path / "set", 3), masks=True)
    name = splits.register(split, "val")
    cfg.merge_from_list(["DATASETS.TEST", (name,), "INPUT.MIN_SIZE_TEST", 64, "MODEL.DEVICE", "cpu"])
    yield cfg
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def test_parameters_operations_and_memory(cfg):
    model = Model().train()
    counted = cost.detector_cost(cfg, model)
    assert (counted.parameters, counted.trainable) == (4 * 3 * 9 + 5, 4 * 3 * 9)
    assert counted.flops == 64 * 64 * 4 * 3 * 9  # multiply-adds, as fvcore counts
    assert counted.flops_images == cost.IMAGES
    assert counted.peak_memory > 1e6
    assert model.training  # as it was


def test_a_model_that_cannot_be_traced_has_no_count_and_the_log_says_why(cfg, caplog):
    class Untraceable(Model):
        def forward(self, batch):
            raise RuntimeError("no way\nto trace this")

    with caplog.at_level(logging.WARNING, "transfer"):
        counted = cost.detector_cost(cfg, Untraceable())
    assert counted.flops is None
    assert counted.flops_images is None
    assert "FLOPs not counted: no way to trace this" in caplog.text
