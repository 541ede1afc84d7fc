"""The backbone as one compiled graph, for the real step alone; and whether there is a compiler at all."""

from __future__ import annotations

import torch
import torch._functorch.config as aot
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from pretrain.errors import InputError


class Compiled:
    """A module's forward pass by `torch.compile`; names, weights and statistics stay the module's own.

    Nothing falls back in silence: what cannot become one graph, or would be compiled again and again, is an error.
    Compiled at the first call.

    Args:
        module: takes and returns one tensor; it is not changed, and its own calls stay as they are.
    """

    def __init__(self, module: nn.Module) -> None:
        # Process-wide, and read where a graph is compiled. Else a backward pass overwrites what a second one needs, and
        # is itself compiled only when it is first walked, where nobody would catch its error.
        aot.donated_buffer = False
        aot.force_non_lazy_backward_lowering = True
        self._call = torch.compile(module, fullgraph=True, dynamic=False)

    def __call__(self, x: Tensor) -> Tensor:
        """The module's output; its graph can be walked twice, as the upper level does.

        Raises:
            InputError: the module cannot be compiled.
        """
        try:
            y: Tensor = self._call(x)
        except TorchDynamoException as error:
            raise InputError(
                f"run.compile=True: expected the backbone as one compiled graph, found that {_first_line(error)}; use "
                "run.compile=False"
            ) from error
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
        raise InputError(
            f"run.compile=True: expected a compiler that torch.compile can use on {device.type}, found none that works "
            f"({_first_line(error)}); install one (g++ on a CPU, Triton on a GPU), or use run.compile=False"
        ) from error
    if not torch.allclose(found, 2 * x.detach()):
        raise InputError(
            f"run.compile=True: expected the derivative of a small function from the compiler on {device.type}, found "
            "another one; use run.compile=False"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.: ')}" if lines else type(error).__name__
