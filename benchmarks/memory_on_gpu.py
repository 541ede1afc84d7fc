"""What a training step will need on a GPU, counted without one: every tensor of the step, and none of its values.

python -m benchmarks.memory_on_gpu [--quick] [--case ARCH:SIZE:N[:fp32|bf16] ...] [--memory GIB] [--json OUT]
                                   [--markdown OUT]

The step runs on PyTorch's meta device, on which operations only have shapes; what is alive is summed as it is allocated
and given back, what autograd keeps for the backward pass included. Not counted are cuDNN's workspaces, the CUDA context
and what the allocator cannot use between two blocks: `RESERVE` is kept for them.
"""

from __future__ import annotations

import argparse
import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks import outputs
from benchmarks.modes import MODES, PLAIN, QUICK, Case, Mode, Trainee, parse_case, random_views
from benchmarks.outputs import progress
from pretrain.algorithm.mixed_precision import REDUCED
from transfer.reporting.markdown import table

DEVICE = torch.device("meta")
CASES = (Case("resnet50", 224, 256, "bf16"), Case("resnet50", 224, 256))
MEMORY = 80.0  # GiB of the device
RESERVE = 0.1  # of it
BLOCK = 512  # bytes: CUDA's allocator gives whole ones
GIB = 2**30


class Alive(TorchDispatchMode):
    """Sums the bytes of the device's storages while they are alive.

    Attributes:
        now, peak: bytes; ``peak`` may be set back to ``now``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do the operation, and count what it made."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.device == DEVICE:
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class _Reduced(TorchFunctionMode):
    """What autocast does to a ResNet: its convolutions compute in 16 bits, and all else follows its input."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Cast what a convolution gets."""
        if func is torch.conv2d:
            args = tuple(a.to(self.dtype) if isinstance(a, Tensor) else a for a in args)
        return func(*args, **(kwargs or {}))


@contextmanager
def _autocast(device: torch.device, precision: str) -> Iterator[None]:
    """In place of `pretrain.algorithm.mixed_precision.autocast`, which the meta device does not have."""
    with ExitStack() as stack:
        if precision in REDUCED:
            stack.enter_context(_Reduced(REDUCED[precision]))
        yield


def peak(case: Case, mode: Mode) -> int:
    """The most bytes alive on the device at once during a cycle of steps, weights and optimiser included."""
    with (
        patch("pretrain.algorithm.pretraining.autocast", _autocast),
        patch("pretrain.algorithm.upper.autocast", _autocast),
        Alive() as alive,
    ):
        trainee, data = Trainee(case, mode, DEVICE), random_views(case, DEVICE)
        trainee.steps(data)  # from here on the optimiser's buffers exist
        alive.peak = alive.now
        trainee.steps(data, mode.cycle)
        return alive.peak


def predict(case: Case, memory: float) -> dict[str, Any]:
    """GiB of every mode, whether that fits, and the largest batch that does.

    Args:
        case: network and batch.
        memory: of the device, GiB.
    """
    usable, rows = memory * (1 - RESERVE), []
    for mode in (PLAIN, *MODES):
        progress(f"{case}: {mode.name}")
        whole, half = (peak(replace(case, n=n), mode) / GIB for n in (case.n, case.n // 2))
        image = (whole - half) / (case.n - case.n // 2)
        largest = int(case.n + (usable - whole) / image)
        rows.append({"mode": mode.name, "gib": whole, "fits": whole <= usable, "largest_n": max(0, largest)})
    return {"case": str(case), **vars(case), "memory_gib": memory, "usable_gib": usable, "rows": rows}


def as_text(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    parts = []
    for case in figures["cases"]:
        rows = [
            [row["mode"], f"{row['gib']:.1f}", "yes" if row["fits"] else "no", str(row["largest_n"])]
            for row in case["rows"]
        ]
        title = f"{case['case']}; {case['memory_gib']:g} GiB, of which {case['usable_gib']:g} are counted on"
        parts.append(f"{title}\n\n{table(['step', 'GiB', 'fits', 'largest n'], rows)}")
    return (
        "\n\n".join([*parts, f"Counted on the meta device, torch {figures['torch']}; nothing was run on a GPU."]) + "\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_on_gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tiny case: shows that it works")
    parser.add_argument(
        "--case",
        action="append",
        type=parse_case,
        metavar="ARCH:SIZE:N[:fp32|bf16]",
        help="network, pixels, images per batch and precision; may be repeated (default: resnet50:224:256, both)",
    )
    parser.add_argument("--memory", type=float, default=MEMORY, help="GiB of the device (default: 80)")
    outputs.add_arguments(parser, markdown=True)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; exits as `outputs.status` does."""
    parser = _parser()
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    cases = args.case or (QUICK if args.quick else CASES)
    return outputs.status("benchmarks.memory_on_gpu", lambda: _measure(args, cases), "nothing was written")


def _measure(args: argparse.Namespace, cases: Sequence[Case]) -> None:
    figures: dict[str, Any] = {"torch": str(torch.__version__)}
    figures["cases"] = [predict(case, args.memory) for case in cases]
    outputs.finish(args, figures, as_text(figures))


if __name__ == "__main__":
    sys.exit(main())
