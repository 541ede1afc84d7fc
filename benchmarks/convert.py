"""How long a ResNet-50 takes into all four frameworks and back, every proof included.

python -m benchmarks.convert [--arch resnet50] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

import torch
import torchvision

from transfer.checkpoints.checkpoint import read
from transfer.conversion import convert, detectron2_network, networks
from transfer.conversion.targets import TARGETS

LIMIT_S = 20.0


def _source(folder: Path, arch: str) -> Path:
    """A torchvision file with norms that are not all ones and zeros: otherwise exchanged tensors would not show."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(arch, weights=None)
    for tensor in model.state_dict().values():
        if tensor.ndim == 1 and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    path = folder / "source.pth"
    torch.save(model.state_dict(), path)
    return path


def measure(arch: str) -> dict[str, object]:
    """Convert there and back in this process.

    Returns:
        seconds per step (imports apart), their total, and the largest relative error of all proofs.
    """
    networks.imported("timm")
    detectron2_network.imported("detectron2.modeling")
    seconds: dict[str, float] = {}
    cpu = time.process_time()
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = _source(folder, arch)
        wanted = read(path).state
        for to in TARGETS:
            start = time.perf_counter()
            there = folder / f"{to}.pth"
            proofs = convert.convert(read(path), to, there)
            seconds[f"to {to}"] = time.perf_counter() - start
            start = time.perf_counter()
            back = folder / f"{to}-back.pth"
            proofs += convert.convert(read(there), "torchvision", back)
            state = read(back).state
            if any(not torch.equal(state[key], wanted[key]) for key in wanted):
                raise AssertionError(f"{to} and back is not bit-identical")
            seconds[f"back from {to}"] = time.perf_counter() - start
            worst = max([worst, *(error for proof in proofs for _, error in proof.errors.values())])
    return {
        "arch": arch,
        "seconds": {step: round(value, 3) for step, value in seconds.items()},
        "cpu_s": round(time.process_time() - cpu, 2),  # apart from total_s only when the machine was shared
        "total_s": round(sum(seconds.values()), 2),
        "limit_s": LIMIT_S,
        "largest_relative_error": worst,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def main(argv: list[str] | None = None) -> int:
    """Print the times; 1 when they exceed the limit for a ResNet-50 on two cores."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convert", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="resnet50", help="torchvision's name of the architecture (default: resnet50)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here too (default: print only)")
    args = parser.parse_args(argv)
    figures = measure(args.arch)
    text = json.dumps(figures, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    return 0 if figures["total_s"] <= LIMIT_S else 1  # type: ignore[operator]


if __name__ == "__main__":
    sys.exit(main())
