"""The synchronised batch norm of several processes: PyTorch's layer beside this project's, at a ResNet-50's shapes.

python -m benchmarks.sync_norm [--quick] [--n N] [--size PIXELS] [--rounds R] [--json OUT]

Both layers take their short cut where there is one process, so their autograd functions are called themselves, in a
group of one: forward and backward pass of each shape, in turn. PyTorch's raises on a CPU and is left out there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.modules._functions import SyncBatchNorm

from benchmarks import outputs, timing
from benchmarks.outputs import progress
from pretrain.distributed.sync_norm import _Normalise
from transfer.reporting.markdown import table

# (channels, side of the map as a part of the picture's) -> how many of a ResNet-50's 53 norms
SHAPES = {(64, 2): 1, (64, 4): 6, (256, 4): 4, (128, 4): 1, (128, 8): 7, (512, 8): 5, (256, 8): 1, (256, 16): 11}
SHAPES |= {(1024, 16): 7, (512, 16): 1, (512, 32): 5, (2048, 32): 4}
EPS, MOMENTUM = 1e-5, 0.1


def _ours(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    y: Tensor = _Normalise.apply(x, weight, bias, EPS)[0]
    return y


def _theirs(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean, variance = torch.zeros_like(weight), torch.ones_like(weight)
    y: Tensor = SyncBatchNorm.apply(x, weight, bias, mean, variance, EPS, MOMENTUM, dist.group.WORLD, 1)
    return y


def _progress(of: str, text: str) -> None:
    progress(f"{of}: {text}")


def measure(n: int, size: int, rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """A row per shape: milliseconds of a forward and backward pass of both, and theirs over ours.

    Args:
        n: images.
        size: side of the picture, pixels.
        rounds: timed ones.
        device: where to run; without CUDA ours alone.
    """
    rows = []
    for (channels, part), count in SHAPES.items():
        side = max(1, size // part)
        x = torch.randn(n, channels, side, side, device=device).contiguous(memory_format=torch.channels_last)
        inputs = [x, torch.ones(channels, device=device), torch.zeros(channels, device=device)]
        inputs = [t.requires_grad_() for t in inputs]
        works = {"ours": partial(_both_ways, _ours, inputs)}
        if device.type == "cuda":
            works["stock"] = partial(_both_ways, _theirs, inputs)
        wall, _ = timing.in_turn(works, rounds, device, partial(_progress, f"{channels} channels, {side} px"))
        row: dict[str, Any] = {"channels": channels, "side": side, "norms": count, "ours": timing.spread(wall["ours"])}
        if "stock" in wall:
            row |= {"stock": timing.spread(wall["stock"]), "ratio": timing.ratios(wall["stock"], wall["ours"])}
        rows.append(row)
    return rows


def _both_ways(layer: Callable[[Tensor, Tensor, Tensor], Tensor], inputs: Sequence[Tensor]) -> None:
    y = layer(*inputs)
    torch.autograd.grad(y, inputs, y.detach())


@contextmanager
def _alone(device: torch.device) -> Iterator[None]:
    """A group of this one process."""
    with tempfile.TemporaryDirectory() as folder:
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, init_method=f"file://{folder}/meeting", rank=0, world_size=1)
        try:
            yield
        finally:
            dist.destroy_process_group()


def as_text(figures: dict[str, Any]) -> str:
    """The figures as Markdown; a dash is not measured."""
    rows = []
    for row in figures["rows"]:
        other = (
            [f"{1e3 * row['stock']['median']:.3f}", f"{row['ratio']['median']:.2f}"] if "stock" in row else ["–", "–"]
        )
        shape = f"{row['channels']} channels, {row['side']} x {row['side']}"
        rows.append([shape, str(row["norms"]), f"{1e3 * row['ours']['median']:.3f}", *other])
    machine = figures["machine"]
    return (
        table(["shape", "norms", "ours, ms", "nn.SyncBatchNorm, ms", "theirs / ours"], rows)
        + f"\n\nn = {figures['n']}, {figures['size']} px; {machine['device']}, torch {machine['torch']}.\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sync_norm", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny shapes and few rounds: shows that it works")
    parser.add_argument("--n", type=int, help="images (default: 64)")
    parser.add_argument("--size", type=int, help="side of the picture, pixels (default: 224)")
    parser.add_argument("--rounds", type=int, help="timed rounds (default: 20)")
    outputs.add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; exits as `outputs.status` does. The figures decide nothing: machines differ."""
    parser = _parser()
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    return outputs.status("benchmarks.sync_norm", lambda: _measure(args), "nothing was written")


def _measure(args: argparse.Namespace) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    n, size, rounds = args.n or (2 if args.quick else 64), args.size or (32 if args.quick else 224), args.rounds
    with _alone(device):
        rows = measure(n, size, rounds or (1 if args.quick else 20), device)
    figures = {"machine": timing.machine(device), "n": n, "size": size, "rows": rows}
    outputs.finish(args, figures, as_text(figures))


if __name__ == "__main__":
    sys.exit(main())
