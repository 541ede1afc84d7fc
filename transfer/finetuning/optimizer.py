"""Detectron2's optimiser, with a learning rate of its own for the backbone."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.solver import build_optimizer

from transfer.checkpoints import names
from transfer.detectors.config import backbone_lr_factor
from transfer.detectors.loaded import backbone_tensors


def build(cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Detectron2's optimiser of the config; the learning rate of the backbone's parameters times the config's factor.

    The backbone is what pretrained weights fill: the residual network, with res5 in a C4 head; not FPN and heads.
    Everything else about its parameters (weight decay of norms, rates of biases) stays as Detectron2 sets it; the fused
    step takes each weight once instead of once for every term of its update.

    Args:
        cfg: the run's config; `SOLVER.BACKBONE_LR_FACTOR`, where it has that key, is the factor.
        model: a detector, wrapped for several processes or not.
    """
    optimizer: torch.optim.Optimizer = build_optimizer(cfg, model)
    for group in (optimizer.defaults, *optimizer.param_groups):
        group.update(foreach=False, fused=True)
    factor = backbone_lr_factor(cfg)
    if factor == 1:
        return optimizer
    inside = backbone_tensors(model).keys()
    backbone = {id(tensor) for name, tensor in model.named_parameters() if names.strip_wrappers(name) in inside}
    groups = []
    for group in optimizer.param_groups:
        for lr, within in ((group["lr"], False), (group["lr"] * factor, True)):
            tensors = [tensor for tensor in group["params"] if (id(tensor) in backbone) is within]
            if tensors:
                groups.append({**group, "params": tensors, "lr": lr})
    optimizer.param_groups[:] = groups
    return optimizer
