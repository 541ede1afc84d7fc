"""The peer: SimCLR in a plain PyTorch loop over lightly's loss and head, fed with the very same views.

Torchvision's ResNet-18, lightly's projection head and NT-Xent loss, the optimiser that the run's config names. What it
does not share with this project is everything that happens between a batch of views and a step of the weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.learning.cells import Length
from benchmarks.outputs import Failed
from pretrain.backbones import build_backbone
from pretrain.data.order import BatchOrder
from pretrain.data.sources import open_source
from pretrain.data.two_views import TwoViews, collate
from pretrain.settings.schema import Settings

NAME = "lightly_simclr"


def train(images: Path, settings: Settings, length: Length, seed: int, look: Callable[[nn.Module, int], None]) -> float:
    """Train the peer; ``look`` is called with the backbone at every look.

    Args:
        images: folder of training images.
        settings: of the SimCLR run beside it: views, optimiser, temperature, warm-up.
        length: iterations, batch, looks.
        seed: of weights, order and views.
        look: takes the backbone and the iteration; its time does not count.

    Returns:
        Processor seconds of the training.

    Raises:
        Failed: lightly is not installed.
    """
    try:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import SimCLRProjectionHead
    except ImportError:
        raise Failed("expected the package lightly, found none; pip install 'detection-transfer[bench]'") from None
    torch.manual_seed(seed)
    s = settings.optimizer
    net = build_backbone(settings.backbone.arch, settings.backbone.stem)
    widths = settings.objective.contrastive_widths
    model = nn.Sequential(net, SimCLRProjectionHead(512, widths[0], widths[-1]))
    loss = NTXentLoss(temperature=settings.objective.temperature)
    optimizer: torch.optim.Optimizer
    if s.name == "adamw":
        optimizer = torch.optim.AdamW(model.parameters(), lr=s.lr, weight_decay=s.weight_decay)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=s.lr, momentum=s.momentum, weight_decay=s.weight_decay)
    warmup = max(1, length.iterations // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: _factor(t, warmup, length.iterations))
    mean, std = (torch.tensor(v).view(3, 1, 1) * 255 for v in (settings.data.mean, settings.data.std))
    began, looking = time.process_time(), 0.0
    for done, batch in enumerate(_batches(images, settings, length, seed), 1):
        first, second = ((view.float() - mean) / std for view in batch["views"])
        value = loss(model(first), model(second))
        optimizer.zero_grad()
        value.backward()
        if s.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), s.clip)
        optimizer.step()
        schedule.step()
        if done % length.every == 0 or done == length.iterations:
            paused = time.process_time()
            look(net, done)
            looking += time.process_time() - paused
    return time.process_time() - began - looking


def _batches(images: Path, settings: Settings, length: Length, seed: int) -> DataLoader[Any]:
    source = open_source([images], None)
    order = BatchOrder(len(source), length.batch, length.iterations, seed, None)
    views = TwoViews(source, settings.views, seed)
    loader: DataLoader[Any] = DataLoader(views, batch_sampler=order, collate_fn=collate)
    return loader


def _factor(t: int, warmup: int, total: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    return (t + 1) / warmup if t < warmup else 0.5 * (1 + math.cos(math.pi * (t - warmup) / max(1, total - warmup)))
