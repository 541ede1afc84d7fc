"""Compare a state dict with what an architecture needs: everything that can be wrong, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from transfer.checkpoints.resnets import Shape
from transfer.errors import CheckpointError

TRAINED_IN = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
SHOWN = 3  # names listed before the rest is only counted


@dataclass
class Comparison:
    """What a state dict has, against what it should have.

    Attributes:
        found: tensors present with the right shape, of ``expected``.
        missing, unexpected: names.
        misshapen: name -> (expected shape, found shape).
        values: name -> what is wrong with its numbers.
        dtypes: name -> dtype, for everything that is not float32.
    """

    expected: int
    found: int
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    dtypes: dict[str, torch.dtype] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """One phrase per kind of fault; empty when the state is complete and sound."""
        faults = []
        if self.missing:
            faults.append(f"{len(self.missing)} missing ({listed(self.missing)})")
        if self.unexpected:
            faults.append(f"{len(self.unexpected)} unexpected ({listed(self.unexpected)})")
        if self.misshapen:
            shown = [f"{name} expected {want}, found {got}" for name, (want, got) in self.misshapen.items()]
            faults.append(f"{len(shown)} misshapen ({listed(shown)})")
        if self.values:
            faults.append(f"{len(self.values)} unsound ({listed(f'{n}: {why}' for n, why in self.values.items())})")
        return faults


def listed(names: object) -> str:
    """The first few of some names, and how many more there are."""
    every = list(names)  # type: ignore[call-overload]
    more = f", and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(map(str, every[:SHOWN])) + more


def compare(state: Mapping[str, Tensor], expected: Mapping[str, Shape]) -> Comparison:
    """Compare names, shapes, dtypes and values.

    Args:
        state: torchvision name -> tensor.
        expected: torchvision name -> shape (``resnets.expected``).
    """
    result = Comparison(expected=len(expected), found=0)
    result.missing = [name for name in expected if name not in state]
    for name, tensor in state.items():
        if name not in expected:
            result.unexpected.append(name)
            continue
        if tuple(tensor.shape) != expected[name]:
            result.misshapen[name] = (expected[name], tuple(tensor.shape))
            continue
        result.found += 1
        if tensor.dtype != torch.float32:
            result.dtypes[name] = tensor.dtype
        if why := _unsound(name, tensor):
            result.values[name] = why
    return result


def check_finite(state: Mapping[str, Tensor], path: object) -> None:
    """Refuse to write weights that a diverged training left.

    Args:
        state: name -> tensor, as it is about to be written.
        path: where to.

    Raises:
        CheckpointError: a floating-point tensor holds NaN or infinity.
    """
    broken = [name for name, tensor in state.items() if tensor.is_floating_point() and not _is_finite(tensor)]
    if broken:
        raise CheckpointError(
            f"{path} is not written: expected finite weights, found NaN or infinity in {len(broken)} of {len(state)} "
            f"tensors ({listed(broken)}); the training diverged or the values do not fit into float32"
        )


def _is_finite(tensor: Tensor) -> bool:
    # The sum of finite values may overflow; the extremes do not. They are NaN when any value is.
    return tensor.numel() == 0 or all(math.isfinite(float(extreme)) for extreme in torch.aminmax(tensor))


def _unsound(name: str, tensor: Tensor) -> str | None:
    if tensor.dtype not in TRAINED_IN:
        return f"{str(tensor.dtype).removeprefix('torch.')} instead of floating point of 16 bits or more"
    if not _is_finite(tensor):
        return "NaN or infinite values"
    if not _is_finite(tensor.to(torch.float32)):
        return "values beyond float32"
    if name.endswith("running_var") and (low := float(tensor.min())) < 0:
        return f"a variance below zero ({low:g})"
    return None
