"""The backbone as one compiled graph, for the real step alone; and whether there is a compiler at all."""

from __future__ import annotations

import torch
import torch._functorch.config as aot
from torch import Tensor, nn

from pretrain.errors import InputError


class Compiled:
    """A module's forward pass by `torch.compile`; names, weights and statistics stay the module's own.

    Nothing falls back in silence: what cannot become one graph, or would be compiled again and again, is an error.
    Compiled at the first call.

    Args:
        module: takes and returns one tensor; it is not changed, and its own calls stay as they are.
    """

    def __init__(self, module: nn.Module) -> None:
        self._call = torch.compile(module, fullgraph=True, dynamic=False)

    def __call__(self, x: Tensor) -> Tensor:
        """The module's output; its graph can be walked twice, as the upper level does."""
        with aot.patch(donated_buffer=False):  # else the backward pass overwrites what a second one needs
            y: Tensor = self._call(x)
        return y


def check_compiler(device: torch.device) -> None:
    """Compile a small function with its derivative and compare it with the plain one.

    Raises:
        InputError: no compiler works here.
    """
    x = torch.linspace(-1, 1, 8, device=device, requires_grad=True)

    def small(x: Tensor) -> Tensor:
        return (x * x).relu().sum()

    try:
        (found,) = torch.autograd.grad(torch.compile(small, fullgraph=True)(x), x)
    except (RuntimeError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"run.compile=True: expected a compiler that torch.compile can use on {device.type}, found none that works "
            f"({first}); install one (g++ on a CPU, Triton on a GPU), or use run.compile=False"
        ) from error
    if not torch.allclose(found, 2 * x.detach()):
        raise InputError(
            f"run.compile=True: expected the derivative of a small function from the compiler on {device.type}, found "
            "another one; use run.compile=False"
        )
