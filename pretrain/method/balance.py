"""Losses on one scale: each divided by a running mean of the norm of its own gradient (``docs/method.md``, section 3).

A sum of losses weighs them by whatever units they come in: Barlow Twins' is a sum over a thousand dimensions and had
97 % of MetaMask's step, CompMod's a hundredth of a percent. Divided by the norms of their gradients at the pooled
features, where all of them meet, weights are shares of the step, whatever dimension, batch and temperature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

DECAY = 0.9  # of the running means, for each measurement
MODES = ("gradient", "none")


class RunningMean(nn.Module):
    """Exponential mean of positive numbers, corrected for its start as Adam's moments are; part of the state.

    Zeros and what is not finite are left out: neither says how long the next gradient will be.
    """

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight", "last"):
            self.register_buffer(name, torch.zeros(()))

    total: Tensor
    weight: Tensor
    last: Tensor

    @torch.no_grad()
    def update(self, value: Tensor) -> None:
        """Take in one more number, a scalar; ``last`` keeps it as it is."""
        value = value.to(self.total.dtype)
        usable = value.isfinite() & (value > 0)
        for buffer, amount in ((self.total, value), (self.weight, torch.ones_like(value))):
            buffer.copy_(torch.where(usable, DECAY * buffer + (1 - DECAY) * amount, buffer))
        self.last.copy_(value)

    def value(self) -> Tensor:
        """The mean, a scalar above 0; 1 before the first usable number."""
        return torch.where(self.weight > 0, self.total / self.weight.clamp_min(torch.finfo().tiny), 1.0)


class Balance(nn.Module):
    """The scales of some losses, constant between two measurements.

    Args:
        names: of the losses.
        mode: ``gradient`` divides each by its scale and all weights by their sum; ``none`` leaves the plain sum.
    """

    measured: Tensor  # how often, counted by `count`; `times_measured` is the same on the host

    def __init__(self, names: Sequence[str], mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.norms = nn.ModuleDict({name: RunningMean() for name in names})
        self.register_buffer("measured", torch.zeros((), dtype=torch.long))
        self.times_measured = 0
        self.register_load_state_dict_post_hook(_read_count)

    def count(self) -> None:
        """One more measurement of the losses has been taken in."""
        self.measured += 1
        self.times_measured += 1

    def update(self, norms: Mapping[str, Tensor]) -> None:
        """Take in the norm of each loss's own gradient, unweighted."""
        for name, norm in norms.items():
            self._mean(name).update(norm)

    def coefficients(self, weights: Mapping[str, float]) -> dict[str, Tensor | float]:
        """What each loss is multiplied by: ``w_k``, or ``(w_k / Σ w) / s_k``."""
        if self.mode == "none":
            return dict(weights)
        total = sum(weights.values()) or 1.0
        return {name: w / total / self.scale(name) for name, w in weights.items()}

    def scale(self, name: str) -> Tensor:
        """s_k, the running mean of the norms."""
        return self._mean(name).value()

    def shares(self, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Each loss's part of the sum of the weighted gradients' norms, as last measured, in 0-1."""
        coefficients = self.coefficients(weights)
        parts = {name: c * self._mean(name).last for name, c in coefficients.items()}
        total = torch.stack([torch.as_tensor(p) for p in parts.values()]).sum()
        return {name: part / total for name, part in parts.items()}

    def copied(self) -> dict[str, Tensor]:
        """The state as it is now, for `restore`: an iteration that is left out leaves nothing behind."""
        return {name: buffer.clone() for name, buffer in self.named_buffers()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `copied`."""
        for name, buffer in self.named_buffers():
            buffer.copy_(state[name])
        _read_count(self, None)

    def _mean(self, name: str) -> RunningMean:
        mean = self.norms[name]
        assert isinstance(mean, RunningMean)
        return mean


def _read_count(balance: Balance, keys: object) -> None:
    """What was loaded: read once here, not by every step, which would wait for the device."""
    balance.times_measured = int(balance.measured)


def gradient_norms(losses: Mapping[str, Tensor], h: Tensor) -> dict[str, Tensor]:
    """``‖∂L_k/∂h‖`` of every loss; the graph stays, and only what lies between h and the losses is walked."""
    norms = {}
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, h, retain_graph=True, allow_unused=True)
        norms[name] = loss.new_zeros(()) if gradient is None else torch.linalg.vector_norm(gradient)
    return norms
