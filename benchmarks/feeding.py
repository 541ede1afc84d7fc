"""Whether the loader keeps a training fed: its images per second over those of the same step on a fixed batch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.optim import OptimWrapperDict

from benchmarks.pictures import jpegs
from benchmarks.timing import spread, timed
from pretrain.algorithm.pretraining import Pretraining
from pretrain.data.order import BatchOrder
from pretrain.data.sources import open_source
from pretrain.settings.schema import Settings, load_settings
from pretrain.training.optimizers import build_optimizers
from pretrain.training.plan import Plan
from pretrain.training.runner import PREFETCHED, build_loader

TRAINING_TARGET = 0.9


@dataclass(frozen=True)
class Feeding:
    """What is trained: `simclr` on JPEGs in files.

    Attributes:
        arch, jpeg, view, batch: network, kind of JPEG (`benchmarks.pictures.SIZES`), side of the views, images a step.
        images: files.
        workers: loader processes.
        rounds, steps: timed rounds, and steps of each of the two kinds in a round.
    """

    arch: str = "resnet18"
    jpeg: str = "160 px"
    view: int = 64
    batch: int = 64
    images: int = 512
    workers: int = 2
    rounds: int = 5
    steps: int = 12

    @staticmethod
    def quick() -> Feeding:
        """Small enough to show in seconds that it works."""
        return Feeding(view=32, batch=4, images=12, workers=1, rounds=2, steps=2)

    def __str__(self) -> str:
        """For a table."""
        return (
            f"simclr, {self.arch}, n = {self.batch}, {self.jpeg} JPEGs to {self.view} px views, {self.workers} loaders"
        )


def measure_feeding(feeding: Feeding, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """``ratio``, and images per second of the ``pure`` step and of the ``training``: medians, quartiles, n.

    The two are timed in turn. A round's loader is new, is brought to a steady state first, and is closed before the
    pure step is timed, so that nothing is prefetched at the other one's expense.
    """
    settings = load_settings(
        {
            "method": "simclr",
            "backbone": {"arch": feeding.arch},
            "views": {"size": feeding.view, "blur": 0.5},
            "data": {"batch": feeding.batch, "workers": feeding.workers},
        }
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = Pretraining(settings=settings, iterations=10**6).to(device).train()
    optimizers = build_optimizers(model)
    pure: list[float] = []
    training: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for k, encoded in enumerate(jpegs(feeding.jpeg, feeding.images)):
            (Path(folder) / f"{k:06d}.jpg").write_bytes(encoded)
        plan = Plan(open_source([Path(folder)]), Path(folder), 10**6, 0)
        ahead = PREFETCHED * feeding.workers
        for turn in range(feeding.rounds):
            progress(f"training: round {turn + 1} of {feeding.rounds}")
            batches = _batches(plan, settings, 1 + 2 * ahead + feeding.steps)
            batch = next(batches)
            for _ in range(ahead):
                model.train_step(next(batches), optimizers)
            training.append(_rate(feeding, model, optimizers, batches))
            batches.close()
            model.train_step(batch, optimizers)
            fixed = iter([batch] * feeding.steps)
            pure.append(_rate(feeding, model, optimizers, fixed))
    ratio = [t / p for t, p in zip(training, pure, strict=True)]
    spreads = {name: spread(v) for name, v in (("ratio", ratio), ("pure", pure), ("training", training))}
    return {
        "case": str(feeding),
        **vars(feeding),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        **spreads,
    }


def _batches(plan: Plan, settings: Settings, count: int) -> Generator[dict[str, Any], None, None]:
    """More batches than are taken, so that the workers never run out of work."""
    loader = build_loader(settings, plan, BatchOrder(len(plan.source), settings.data.batch, count, 0))
    iterator = iter(loader)
    try:
        yield from iterator
    finally:
        del iterator, loader  # ends the workers


def _rate(
    feeding: Feeding, model: Pretraining, optimizers: OptimWrapperDict, batches: Iterator[dict[str, Any]]
) -> float:
    """Images per second, waiting for data included."""

    def work() -> None:
        for _ in range(feeding.steps):
            model.train_step(next(batches), optimizers)

    return feeding.batch * feeding.steps / timed(work, model.mean.device)[0]
