"""Models with narrow heads in the middle of a pretraining, on a small residual network, and what their steps leave."""

from contextlib import nullcontext
from typing import Any

import torch

from pretrain.algorithm.pretraining import Pretraining
from pretrain.settings.schema import load_settings
from pretrain.training.optimizers import build_optimizers
from tests.cases.bilevel_cases import relative_error
from tests.cases.rank_cases import model_of, share_of, small_backbone

TINY: dict[str, Any] = {
    "redundancy_widths": [16, 16],
    "contrastive_widths": [16, 12],
    "bootstrap_widths": [16, 12],
    "dense_widths": [16, 12],
    "predictor_width": 16,
}
# A whole multiple of 16: with six channels oneDNN's bfloat16 convolutions end the process (PyTorch 2.11, CPU).
WIDTH = 16
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "sgd clipped": {"clip": 0.5},
    "adamw": {"name": "adamw", "lr": 0.001, "weight_decay": 0.05},
    "adamw clipped": {"name": "adamw", "lr": 0.001, "weight_decay": 0.05, "clip": 0.05},
    "lars": {"name": "lars", "lr": 0.1},
    "lars clipped": {"name": "lars", "lr": 0.1, "clip": 0.05},
}


def settings(method, objective=None, **sections):
    config = {
        "method": method,
        "backbone": {"arch": "resnet18", "stem": "imagenet"},
        "objective": {**TINY, "coding_distortion": 0.3, **(objective or {})},
        "optimizer": {"lr": 0.01},
        "data": {"batch": 6},
        **sections,
    }
    return load_settings(config)


def start(method, objective=None, *, resnet18=False, **sections):
    """(model, optimizers); on a whole ResNet-18 a step takes tens of times as long as on the small network."""
    torch.manual_seed(0)
    with nullcontext() if resnet18 else small_backbone(WIDTH):
        model = Pretraining(settings=settings(method, objective, **sections), iterations=20)
    return model.train(), build_optimizers(model)


def batch(seed, size=16):
    generator = torch.Generator().manual_seed(seed)
    return {"views": torch.randint(0, 256, (2, 6, 3, size, size), dtype=torch.uint8, generator=generator)}


def upper_weights(model):
    return {k: p.detach().clone() for k, p in model.objective.upper_parameters().items()}


def run(method, steps=3, objective=None, size=16, *, resnet18=False, **sections):
    model, optimizers = start(method, objective, resnet18=resnet18, **sections)
    for k in range(steps):
        log = model.train_step(batch(k, size), optimizers)
        assert all(torch.isfinite(v) for v in log.values())
    return model


def in_float64(optimizer, small=True, **meta):
    """(model, optimizers, two batches) of the joint method in float64 with the exact hypergradient."""
    sections = {"meta": {"hypergradient": "forward_mode", "clip": None, **meta}, "optimizer": {"lr": 0.01, **optimizer}}
    if small:
        model = model_of("metamask_compmod", **sections).double()
        data = [share_of(k, 12) for k in range(2)]
    else:
        model = start("metamask_compmod", resnet18=True, **sections)[0].double()
        data = [batch(k) for k in range(2)]
    return model, build_optimizers(model), data


def assert_equal_parts(found, expected):
    for variable in ("mask.", "fusion."):
        part = {k: t for k, t in expected.items() if k.startswith(variable)}
        assert relative_error({k: found[k] for k in part}, part) < 1e-8


def watch_gradients(model, optimizers):
    """Where the gradients that ψ moves by will be found."""
    found = {}

    def keep(*_):
        found.update({k: p.grad.clone() for k, p in model.objective.upper_parameters().items() if p.grad is not None})

    for name in ("mask", "fusion"):
        optimizers[name].optimizer.register_step_pre_hook(keep)
    return found
