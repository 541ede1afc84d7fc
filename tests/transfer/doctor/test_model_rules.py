"""The limits of the rules; that each finds its fault in a real config is tests/transfer/doctor/test_examine.py."""

import pytest
from detectron2.config import get_cfg

from transfer.checkpoints.layouts import IMAGENET, IMAGENET_228, MSRA
from transfer.checkpoints.metadata import metadata_of
from transfer.detectors.overlay import detectron2_overlay
from transfer.doctor import model_rules
from transfer.doctor.findings import Situation


def _situation(fed, arch="resnet50", **more):
    """Weights of one convention under a config made for torchvision's."""
    cfg = get_cfg()
    overlay = detectron2_overlay({"arch": arch, **metadata_of(IMAGENET)})
    cfg.merge_from_list([part for pair in overlay.items() for part in pair])
    return Situation(cfg, {"arch": arch, "stem": "imagenet", **metadata_of(fed), **more})


def test_right_weights_are_silent():
    situation = _situation(IMAGENET)
    assert [finding for rule in model_rules.RULES for finding in rule(situation)] == []


def test_a_slightly_other_std_warns_and_another_one_is_wrong():
    assert [(f.level, f.where) for f in model_rules.weights_disagree(_situation(IMAGENET_228))] == [
        ("warning", "MODEL.PIXEL_STD")
    ]
    assert {f.level for f in model_rules.weights_disagree(_situation(MSRA))} == {"error"}


def test_basic_blocks_have_no_1x1_to_stride_in():
    situation = _situation(IMAGENET, "resnet18")
    situation.cfg.MODEL.RESNETS.STRIDE_IN_1X1 = True
    assert list(model_rules.weights_disagree(situation)) == []


@pytest.mark.parametrize(("method", "levels"), [("supervised", 0), ("metamask", 1)])
def test_freezing_supervised_weights_is_the_usual_thing(method, levels):
    situation = _situation(IMAGENET, method=method)
    situation.cfg.MODEL.BACKBONE.FREEZE_AT = 2
    assert len(list(model_rules.frozen(situation))) == levels


def test_grey_means_tell_no_order():
    situation = Situation(get_cfg())
    situation.cfg.MODEL.PIXEL_MEAN = [127.5, 127.5, 127.5]
    assert list(model_rules.channel_mean_order(situation)) == []


def test_registries_that_were_not_asked_accuse_nobody():
    assert list(model_rules.unregistered(Situation(get_cfg()))) == []
