"""Steps of every method on one process or on its share of several: ``python -m tests.cases.rank_cases OUT``."""

import sys
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from pretrain.algorithm import mixed_precision, pretraining
from pretrain.algorithm.pretraining import Pretraining
from pretrain.data.views import ViewSettings, sample_colour
from pretrain.distributed import ranks
from pretrain.method.methods import METHODS
from pretrain.settings.schema import load_settings
from pretrain.training.optimizers import build_optimizers

IMAGES, STEPS, FEW = 8, 6, 4
HEADS = {
    "redundancy_widths": [12, 12],
    "contrastive_widths": [12, 10],
    "bootstrap_widths": [12, 10],
    "dense_widths": [12, 10],
    "dense_grid": 3,
    "predictor_width": 12,
    "coding_distortion": 0.3,
}
RELEASE = {"trial": "meta", "optimizer": "sgd", "clip": None}  # the way of MetaMask's release
# Name -> method and what differs from the defaults; six steps of each method, a few of what else can be chosen.
CASES = {name: (name, {}) for name in METHODS}
CASES |= {
    "plain sum": ("metamask_compmod", {"objective": {**HEADS, "balance": "none"}, "meta": {"every": 2, **RELEASE}}),
    "adamw": ("metamask_compmod", {"optimizer": {"name": "adamw", "lr": 0.001}}),
    "adamw inline": ("simclr_compmod", {"optimizer": {"name": "adamw", "lr": 0.001, "clip": 0.5}}),
    "clipped": ("byol_compmod", {"optimizer": {"lr": 0.01, "clip": 0.5}}),
    "lars": ("metamask_compmod", {"optimizer": {"name": "lars", "lr": 0.01}}),
    "single level": ("metamask_compmod", {"meta": {"hypergradient": "single_level"}}),
    "device colour": ("metamask_compmod", {"views": {"size": 12, "colour": "device", "blur": 0.5}}),
    "gradient difference": ("metamask_compmod", {"meta": {"hypergradient": "finite_difference"}}),
}


def small_resnet(*_, maps=False, width=6):
    """Images -> (N, 2 width), or maps (N, 2 width, S, S): a stem and two residual blocks, one with a projection."""
    shortcut = nn.Sequential(nn.Conv2d(width, 2 * width, 1, stride=2, bias=False), nn.BatchNorm2d(2 * width))
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        BasicBlock(width, width),
        BasicBlock(width, 2 * width, stride=2, downsample=shortcut),
        *(() if maps else (nn.AdaptiveAvgPool2d(1), nn.Flatten())),
    )


def small_backbone(width=6):
    """Where pretraining builds its backbone, the small network."""
    net = partial(small_resnet, width=width)
    return patch.multiple(pretraining, build_backbone=net, feature_width=lambda _: 2 * width)


def model_of(method, **sections):
    """A model of a method on a small network, with weights that are always the same."""
    config = {"method": method, "objective": HEADS, "data": {"batch": IMAGES}, "optimizer": {"lr": 0.01}, **sections}
    torch.manual_seed(0)
    with small_backbone():
        return Pretraining(settings=load_settings(config), iterations=STEPS).train()


def share_of(seed, size, settings=None):
    """This rank's images of a global batch, with their colour work where the settings leave it to the device."""
    generator = torch.Generator().manual_seed(seed)
    views = torch.randint(0, 256, (2, IMAGES, 3, size, size), dtype=torch.uint8, generator=generator)
    whole = {"views": views}
    if settings is not None and settings.views.colour == "device":
        whole["colour"] = colours_of(seed, settings.views)
    return {name: part[:, ranks.rank() :: ranks.world_size()] for name, part in whole.items()}


def colours_of(seed: int, settings: ViewSettings):
    """What is drawn for a global batch, (2, IMAGES, 12)."""
    rngs = [np.random.default_rng((seed, view, k)) for view in range(2) for k in range(IMAGES)]
    rows = np.stack([sample_colour(settings, rng).row() for rng in rngs])
    return torch.from_numpy(rows.reshape(2, IMAGES, -1))


def steps_of(case, dtype=torch.float64, steps=STEPS):
    """Everything that a step makes: logs and gradients of w by iteration, hypergradients, and the final state."""
    method, sections = CASES[case]
    model = model_of(method, **sections).to(dtype)
    optimizers, logs, gradients, upper = build_optimizers(model), [], [], []

    def keep(optimizer, *_):
        gradients.append([p.grad.clone() for p in model.lower_parameters()])

    def move(found, optim, original=model._move_upper):
        upper.append({k: (found.direct[k].clone(), found.second_order[k].clone()) for k in found.direct})
        return original(found, optim)

    optimizers["lower"].optimizer.register_step_pre_hook(keep)
    model._move_upper = move
    for k in range(steps):
        logs.append(model.train_step(share_of(k, 12, model.settings), optimizers))
    return {"logs": logs, "gradients": gradients, "upper": upper, "state": model.state_dict()}


def overflow_of(rank):
    """Log and weights after each of three steps in float16; the second one's gradients overflow on one rank."""
    with patch.object(mixed_precision, "FIRST_SCALE", 16.0):
        model = model_of("metamask_compmod", optimizer={"lr": 0.01, "clip": 1.0}, run={"precision": "fp16"})
    optimizers, found = build_optimizers(model), []

    def explode(module, inputs, h):
        if len(found) == 1 and ranks.rank() == rank and h.requires_grad:
            h.register_hook(lambda gradient: gradient * torch.inf)

    model.backbone.register_forward_hook(explode)
    for k in range(3):
        log = model.train_step(share_of(k, size=32), optimizers)
        found.append((log, [p.detach().clone() for p in model.parameters()]))
    return found


def main(out):
    with ranks.started():
        found = {case: steps_of(case, steps=STEPS if case in METHODS else FEW) for case in CASES}
        found |= {f"{name} float32": steps_of(name, torch.float32, steps=1) for name in METHODS}
        found["overflow"] = overflow_of(rank=1)
        torch.save(found, f"{out}.{ranks.rank()}")


if __name__ == "__main__":
    main(sys.argv[1])
