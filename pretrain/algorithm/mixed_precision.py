"""Less than float32 in the backbone's passes, and the loss scale that float16 gradients need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pretrain.distributed import ranks
from pretrain.errors import InputError

REDUCED = {"bf16": torch.bfloat16, "fp16": torch.float16}
FIRST_SCALE = 2.0**16
GROWTH = 2000  # good iterations in a row until the scale is doubled; both are torch.amp.GradScaler's defaults
LEAST_SCALE = 2.0**-14  # float16's smallest normal number: gradients that overflow even here have no place in it


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context of a backbone's pass; ``fp32`` leaves every tensor as it is."""
    return torch.autocast(device.type, dtype=REDUCED.get(precision, torch.bfloat16), enabled=precision in REDUCED)


def widened(h: Tensor) -> Tensor:
    """Features of a reduced pass in float32, in which heads and losses compute; others as they are."""
    return h.float() if h.dtype in REDUCED.values() else h


class LossScale:
    """Keeps float16 gradients in float16's range (Micikevicius et al. 2018, section 3.2), by `torch.amp.GradScaler`.

    The backward pass starts from the loss times the scale, and the gradients are divided by it before anything reads
    them. The scale is a power of two, so that neither rounds. Where a gradient overflowed, nothing moves in this
    iteration and the scale is halved; after `GROWTH` good ones in a row it is doubled.

    Several processes need no message for that: their gradients are the same to the bit once they are summed
    (`pretrain.distributed.ranks`), an overflow on one of them included.

    Attributes:
        value: the scale now.
        overflowed: whether the iteration's gradients did, and it was left out.
        skipped: iterations left out so far.
    """

    def __init__(self) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._scaler = torch.amp.GradScaler(device, init_scale=FIRST_SCALE, growth_interval=GROWTH)
        self.value = FIRST_SCALE
        self.overflowed = False
        self.skipped = 0

    def up(self, loss: Tensor) -> Tensor:
        """What the backward pass starts from: the loss times the scale."""
        return self._scaler.scale(loss)

    def unscale_and_check(self, optimizers: Sequence[Optimizer]) -> bool:
        """Take the scale out of every ``grad``, in place, and adapt it; once in an iteration.

        Args:
            optimizers: of all parameters that may have a gradient.

        Returns:
            Whether all of them are finite. Where not, the iteration has to be left out.

        Raises:
            InputError: the scale fell below `LEAST_SCALE`; on rank 0 (`pretrain.distributed.ranks.on_all_ranks`).
        """
        for optimizer in optimizers:
            self._scaler.unscale_(optimizer)
        self._scaler.update()
        before, self.value = self.value, self._scaler.get_scale()
        self.overflowed = self.value < before
        self.skipped += self.overflowed
        if self.value < LEAST_SCALE:
            ranks.on_all_ranks(self._give_up)
        return not self.overflowed

    def log(self) -> dict[str, Tensor]:
        """``loss_scale`` and ``skipped_steps``."""
        return {"loss_scale": torch.tensor(self.value), "skipped_steps": torch.tensor(float(self.skipped))}

    def state(self) -> dict[str, Any]:
        """Scale, good iterations in a row and skipped ones, as plain numbers for a checkpoint."""
        return {"scaler": self._scaler.state_dict(), "skipped": self.skipped}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self._scaler.load_state_dict(state["scaler"])
        self.value, self.skipped = self._scaler.get_scale(), state["skipped"]

    def _give_up(self) -> None:
        raise InputError(
            f"run.precision=fp16: expected gradients that fit into float16, found an overflow even at a loss scale of "
            f"{self.value:.2g} ({self.skipped} steps skipped); use run.precision=bf16 or fp32, or lower optimizer.lr"
        )
