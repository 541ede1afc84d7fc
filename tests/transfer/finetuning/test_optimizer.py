"""The optimiser's parameter groups: Detectron2's own, and the backbone's learning rate apart."""

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler, build_optimizer

import transfer.register  # noqa: F401
from transfer.detectors import config as detector_config
from transfer.finetuning import optimizer

pytestmark = pytest.mark.usefixtures("one_thread")


def built(config, factor, *words):
    cfg = detector_config.read_config(detector_config.find_config(config))
    detector_config.override(cfg, ["MODEL.DEVICE", "cpu", "MODEL.RESNETS.NORM", "BN", "MODEL.FPN.NORM", "BN", *words])
    detector_config.set_backbone_lr_factor(cfg, factor)
    model = build_model(cfg)
    return cfg, model, optimizer.build(cfg, model)


def by_name(model, made):
    """Parameter name -> what its group says of it, without the group's tensors and the kind of loop over them."""
    names = {id(tensor): name for name, tensor in model.named_parameters()}
    return {
        names[id(tensor)]: {k: value for k, value in group.items() if k not in ("params", "fused", "foreach")}
        for group in made.param_groups
        for tensor in group["params"]
    }


def test_without_a_factor_it_is_detectron2s_optimiser():
    cfg, model, made = built("any_mask_rcnn_R_18_FPN_small", 1.0)
    assert "BACKBONE_LR_FACTOR" not in cfg.SOLVER
    assert by_name(model, made) == by_name(model, build_optimizer(cfg, model))


def test_the_factor_is_the_backbones_and_nothing_else_changes():
    words = ["SOLVER.BASE_LR", 0.04, "SOLVER.BIAS_LR_FACTOR", 2.0, "SOLVER.CLIP_GRADIENTS.ENABLED", True]
    cfg, model, made = built("any_mask_rcnn_R_18_FPN_small", 0.1, *words)
    stock, own = by_name(model, build_optimizer(cfg, model)), by_name(model, made)
    assert own.keys() == stock.keys() == {n for n, tensor in model.named_parameters() if tensor.requires_grad}
    for name, group in own.items():
        inside = name.startswith("backbone.bottom_up.")
        assert group["lr"] == pytest.approx(stock[name]["lr"] * (0.1 if inside else 1)), name
        assert {**group, "lr": 0} == {**stock[name], "lr": 0}, name
    assert own["backbone.bottom_up.stem.conv1.weight"]["lr"] == pytest.approx(0.004)
    assert own["backbone.fpn_lateral2.weight"]["lr"] == 0.04
    assert own["roi_heads.box_predictor.cls_score.bias"]["lr"] == 0.08


def test_res5_in_a_c4_head_is_the_backbones_and_its_extra_norm_is_not():
    words = ["MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64, "MODEL.ROI_HEADS.NAME"]
    cfg, model, made = built("coco_mask_rcnn_R_50_C4_1x", 0.5, *words, "ExtraNormRes5ROIHeads")
    own = by_name(model, made)
    assert own["backbone.stem.conv1.weight"]["lr"] == cfg.SOLVER.BASE_LR / 2
    assert own["roi_heads.res5.0.conv1.weight"]["lr"] == cfg.SOLVER.BASE_LR / 2
    assert own["roi_heads.res5.norm.weight"]["lr"] == cfg.SOLVER.BASE_LR


def test_a_step_moves_the_backbone_by_the_factor_and_the_schedule_scales_both():
    cfg, model, made = built("any_mask_rcnn_R_18_FPN_small", 0.25, "SOLVER.MOMENTUM", 0.0, "SOLVER.WEIGHT_DECAY", 0.0)
    names = ("backbone.bottom_up.res2.0.conv1.weight", "backbone.fpn_output2.weight")
    parameters = dict(model.named_parameters())
    before = {name: parameters[name].detach().clone() for name in names}
    for tensor in parameters.values():
        tensor.grad = torch.ones_like(tensor)
    made.step()
    moved = [float((before[name] - parameters[name].detach()).mean()) for name in names]
    assert moved[0] == pytest.approx(moved[1] / 4, rel=1e-3)
    scheduler = build_lr_scheduler(cfg, made)
    rates = {group["lr"] for group in made.param_groups}
    assert max(rates) == pytest.approx(4 * min(rates))  # in the warm-up too
    assert scheduler.base_lrs == [group["initial_lr"] for group in made.param_groups]


def test_a_saved_config_keeps_the_factor_and_one_without_it_is_detectron2s(tmp_path):
    cfg = built("any_mask_rcnn_R_18_FPN_small", 0.1)[0]
    (tmp_path / "config.yaml").write_text(cfg.dump())
    again = detector_config.read_config(tmp_path / "config.yaml")
    assert detector_config.backbone_lr_factor(again) == 0.1
    assert detector_config.differences(again, cfg) == []
    detector_config.set_backbone_lr_factor(again, 1)
    assert detector_config.differences(again, cfg) == ["SOLVER.BACKBONE_LR_FACTOR: None -> 0.1"]
    (tmp_path / "stock.yaml").write_text(again.dump())
    assert "BACKBONE_LR_FACTOR" not in (tmp_path / "stock.yaml").read_text()
