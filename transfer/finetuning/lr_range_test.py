"""A short learning-rate range test: which learning rate do these weights bear?

Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3: raise the learning rate from
iteration to iteration and watch the loss. It belongs to the weights: networks trained with LARS want about five times
what others do.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import create_ddp_model
from detectron2.utils import comm
from detectron2.utils.events import EventStorage

from transfer.errors import InputError
from transfer.files import atomic
from transfer.finetuning import optimizer as optimizers

log = logging.getLogger(__name__)

FILE_NAME = "lr_test.json"
ITERATIONS = 100
LOWEST, HIGHEST = 1 / 50, 20  # of the config's learning rate
SMOOTHING = 0.9  # of the running mean of the loss, corrected for its start
DIVERGED = 1.5  # times the least smoothed loss: the test ends
BELOW = 4  # the loss still fell at its least point: a schedule of thousands of iterations needs a margin


@dataclass(frozen=True)
class Choice:
    """What the test found.

    Attributes:
        lr: the learning rate taken.
        why: in words.
        lrs, losses: of every iteration made.
        smoothed: the running mean of the losses.
    """

    lr: float
    why: str
    lrs: list[float]
    losses: list[float]
    smoothed: list[float]


def choose(lrs: list[float], losses: list[float]) -> Choice:
    """Take a learning rate from a range test.

    Args:
        lrs: rising.
        losses: at each of them; one that is not finite ends the test.

    Raises:
        InputError: the loss is not finite from the first iterations on.
    """
    finite = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    lrs, losses = lrs[: finite + 1], losses[: finite + 1]
    smoothed = smooth(losses[:finite])
    if len(smoothed) < 3:
        raise InputError(
            f"--lr auto: expected losses that are finite at a learning rate of {lrs[0]:g}, found {losses}; "
            "look at the data and the weights first"
        )
    least = min(range(len(smoothed)), key=smoothed.__getitem__)
    lr = round_down(lrs[least] / BELOW)
    if finite < len(losses):
        end = f"was not finite any more at {lrs[-1]:.2g}"
    elif smoothed[-1] > DIVERGED * smoothed[least]:
        end = f"had risen to {smoothed[-1]:.3g} at {lrs[-1]:.2g}"
    else:
        end = f"had not diverged at the end, {lrs[-1]:.2g}"
    why = (
        f"the smoothed loss fell to {smoothed[least]:.3g} until {lrs[least]:.2g} and {end}; a {BELOW}th of the "
        "learning rate of its least, rounded down"
    )
    return Choice(lr, why, lrs, losses, smoothed)


def smooth(losses: list[float]) -> list[float]:
    """Return the exponential running mean, corrected for its start at zero."""
    mean, means = 0.0, []
    for i, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        means.append(mean / (1 - SMOOTHING**i))
    return means


def round_down(value: float) -> float:
    """Return the next lower number of the form 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9)) * power:.3g}")


def run(cfg: CfgNode, model: torch.nn.Module, batches: Any, iterations: int = ITERATIONS) -> Choice:
    """Make the test on a model of its own; all processes together.

    Args:
        cfg: the run's config.
        model: loaded with the weights; spoiled afterwards.
        batches: training batches of this process.
        iterations: at most.

    Raises:
        InputError: as ``choose``.
    """
    on_gpu = cfg.MODEL.DEVICE.startswith("cuda")  # torch takes a device per process for GPUs only
    model = create_ddp_model(model.train(), broadcast_buffers=False, **({} if on_gpu else {"device_ids": None}))
    optimizer = optimizers.build(cfg, model)
    own = [group["lr"] / cfg.SOLVER.BASE_LR for group in optimizer.param_groups]
    ratio = (HIGHEST / LOWEST) ** (1 / max(1, iterations - 1))
    lrs: list[float] = []
    losses: list[float] = []
    with EventStorage():  # the model's own scalars are of no interest here
        for i, batch in zip(range(iterations), batches, strict=False):
            lrs.append(cfg.SOLVER.BASE_LR * LOWEST * ratio**i)
            losses.append(_step(model, optimizer, batch, lrs[-1], own))
            if i % 20 == 0:
                log.info("--lr auto: %d/%d, learning rate %.2g, loss %.3g", i, iterations, lrs[-1], losses[-1])
            if not math.isfinite(losses[-1]):
                break
            smoothed = smooth(losses)
            if i >= 10 and smoothed[-1] > DIVERGED * min(smoothed):
                break
    return choose(lrs, losses)


def _step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: Any, lr: float, own: list[float]) -> float:
    """Take one step at ``lr``; return the loss, averaged over the processes."""
    for group, share in zip(optimizer.param_groups, own, strict=True):
        group["lr"] = lr * share
    try:
        loss = sum(model(batch).values())
    except FloatingPointError:  # Detectron2 looks at its proposals: "Training has diverged"
        if comm.get_world_size() > 1:
            raise
        return math.inf
    assert isinstance(loss, torch.Tensor)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    shares = comm.all_gather(loss.item())
    return float(sum(shares) / len(shares))


def save(folder: Path, choice: Choice) -> None:
    """Write the test's curve and its choice to ``folder/lr_test.json``."""
    content = asdict(choice)
    content["losses"] = [loss if math.isfinite(loss) else None for loss in choice.losses]
    atomic.write_text(folder / FILE_NAME, json.dumps(content, indent=1, allow_nan=False) + "\n")
