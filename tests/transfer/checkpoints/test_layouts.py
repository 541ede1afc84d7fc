import pytest
import torch

from tests.cases.checkpoints import LAYOUTS, backbone, network
from transfer.checkpoints import locate
from transfer.checkpoints.checkpoint import read
from transfer.checkpoints.layouts import IMAGENET_228
from transfer.checkpoints.layouts import LAYOUTS as ROWS

DETECTRON2 = {row.name for row in ROWS if row.names in ("detectron2", "caffe2")}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_backbone_of_each_project_comes_out_exactly(name, tmp_path):
    model = network("resnet18")
    names = list(backbone(model))
    content = LAYOUTS[name](model)  # which may replace the stem and add heads
    wanted = {key: backbone(model)[key] for key in names}
    torch.save(content, tmp_path / "x.pth")
    checkpoint = read(tmp_path / "x.pth")
    assert checkpoint.layout == name
    assert checkpoint.arch == "resnet18"
    assert list(checkpoint.state) == list(wanted)
    assert all(torch.equal(checkpoint.state[key], wanted[key]) for key in wanted)


def test_every_row_has_a_fixture_or_a_reason():
    # The twins of another row: the same project's second copy of its backbone, or a name without a project.
    twins = {"OpenSelfSup MoCo", "OpenSelfSup BYOL", "SlotCon (query encoder)", "PyContrast (momentum encoder)",
             "DINO (student)", "solo-learn (momentum backbone)", "a network with its backbone under encoder",
             "a network with its backbone under backbone", "a network with its backbone under net",
             "a network with its backbone under resnet", "a network with its backbone under model.backbone",
             "a network with its backbone under model.encoder"}  # fmt: skip
    assert {row.name for row in ROWS} - DETECTRON2 - twins == set(LAYOUTS)


@pytest.mark.parametrize("name", ["SwAV", "VICRegL"])
def test_projects_that_divide_red_by_228(name, tmp_path):
    torch.save(LAYOUTS[name](network()), tmp_path / "x.pth")
    assert read(tmp_path / "x.pth").convention == IMAGENET_228


def test_every_row_is_a_row():
    for row in ROWS:
        assert row.prefix == "" or row.prefix.endswith(".")
        assert row.names in locate.NAMINGS
