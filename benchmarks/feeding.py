"""Whether the loader keeps a training fed: its images per second over those of the same step on a fixed batch.

python -m benchmarks.feeding [--quick] [--arch ARCH] [--jpeg KIND] [--view PIXELS] [--batch N] [--workers N]
                             [--colour loader|device] [--precision fp32|bf16] [--json OUT]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import torch
from mmengine.optim import OptimWrapperDict

from benchmarks import outputs, timing
from benchmarks.outputs import progress
from benchmarks.pictures import SIZES, jpegs
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
        colour: who does the colour work of the views, the loader or the device.
        precision: of the backbone's passes; channels come last in memory with bf16.
        rounds, steps: timed rounds, and steps of each of the two kinds in a round.
    """

    arch: str = "resnet18"
    jpeg: str = "160 px"
    view: int = 64
    batch: int = 64
    images: int = 512
    workers: int = 2
    colour: str = "loader"
    precision: str = "fp32"
    rounds: int = 5
    steps: int = 12

    @staticmethod
    def quick() -> Feeding:
        """Small enough to show in seconds that it works."""
        return Feeding(view=32, batch=4, images=12, workers=1, rounds=2, steps=2)

    def __str__(self) -> str:
        """For a table."""
        return (
            f"simclr, {self.arch}, {self.precision}, n = {self.batch}, {self.jpeg} JPEGs to {self.view} px views, "
            f"{self.workers} loaders, colour by the {self.colour}"
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
            "views": {"size": feeding.view, "blur": 0.5, "colour": feeding.colour},
            "run": {"precision": feeding.precision, "channels_last": feeding.precision != "fp32"},
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


def as_text(figures: dict[str, Any]) -> str:
    """The figures in one sentence."""
    f, ratio = figures["training"], figures["training"]["ratio"]
    return (
        f"Training over the pure step, {f['case']}: {ratio['median']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f}, "
        f"n = {ratio['n']} rounds; target {TRAINING_TARGET}); pure step {f['pure']['median']:.1f} img/s, training "
        f"{f['training']['median']:.1f} img/s; {figures['machine']['device']}, {f['cores']} cores.\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feeding", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tiny training: shows that it works")
    parser.add_argument("--arch", help="network (default: resnet18)")
    parser.add_argument("--jpeg", choices=tuple(SIZES), help="kind of JPEG (default: 160 px)")
    parser.add_argument("--view", type=int, help="side of the views, pixels (default: 64)")
    parser.add_argument("--batch", type=int, help="images a step (default: 64)")
    parser.add_argument("--workers", type=int, help="loader processes (default: 2)")
    parser.add_argument("--colour", choices=("loader", "device"), help="who does the colour work (default: loader)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="of the backbone's passes (default: fp32)")
    outputs.add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the ratio; exits as `outputs.status` does. The figures decide nothing: machines differ."""
    parser = _parser()
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    given = ("arch", "jpeg", "view", "batch", "workers", "colour", "precision")
    chosen = {name: value for name in given if (value := getattr(args, name)) is not None}
    feeding = replace(Feeding.quick() if args.quick else Feeding(), **chosen)
    return outputs.status("benchmarks.feeding", lambda: _measure(args, feeding), "nothing was written")


def _measure(args: argparse.Namespace, feeding: Feeding) -> None:
    cv2.setNumThreads(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    figures = {"machine": timing.machine(device), "training": measure_feeding(feeding, progress)}
    outputs.finish(args, figures, as_text(figures))


if __name__ == "__main__":
    sys.exit(main())
