"""The real step's forward pass, and the way of its gradients (``docs/method.md``, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from pretrain.algorithm.mixed_precision import LossScale
from pretrain.algorithm.upper import Batch
from pretrain.distributed import ranks
from pretrain.method.objective import Objective


@dataclass(frozen=True)
class Forward:
    """The real step's forward pass.

    Attributes:
        h: pooled features, (2, N, D) float32; with a dense loss maps, (2, N, D, S, S).
        losses: the parts of L_low.
        embeddings: what they were computed from.
        batch: what the upper level needs of it.
    """

    h: Tensor
    losses: Mapping[str, Tensor]
    embeddings: Mapping[str, Tensor]
    batch: Batch


class Gradients:
    """Puts gradients into the parameters' ``grad``, the same to the bit on every rank.

    The backbone's are summed over the ranks on their way (`pretrain.distributed.ranks.replicated`). The heads' are
    whole on every rank: they are averaged only against the rounding of a GPU's unordered sums.

    Args:
        backbone, objective: whose parameters they are.
        loss_scale: for a backbone that runs in float16, else None.
    """

    def __init__(self, backbone: nn.Module, objective: Objective, loss_scale: LossScale | None) -> None:
        self.backbone, self.objective, self.loss_scale = backbone, objective, loss_scale

    def lower_parameters(self) -> list[nn.Parameter]:
        """w in the order of `pretrain.method.trial_step.Weights.tensors`."""
        return [*self.backbone.parameters(), *self.objective.head_parameters().values()]

    def add(self, loss: Tensor, optim: OptimWrapperDict, inputs: list[nn.Parameter] | None = None) -> None:
        """Add those of one loss, by default of all parameters; with a loss scale until `unscale_and_check`."""
        optim["lower"].backward(loss if self.loss_scale is None else self.loss_scale.up(loss), inputs=inputs)
        if ranks.world_size() > 1:
            ranks.average_([p.grad for p in self.objective.parameters() if p.grad is not None])

    def unscale_and_check(self, optim: OptimWrapperDict) -> bool:
        """Take the loss scale out of all gradients, once in an iteration and before anything reads them.

        Returns:
            False where one overflowed. All are gone then, and nothing may move in this iteration, ψ and BYOL's target
            included: where the real step is the trial step there is none to judge.
        """
        if self.loss_scale is None:
            return True
        names = list(optim.keys())
        if self.loss_scale.unscale_and_check([optim[name].optimizer for name in names]):
            return True
        for name in names:
            optim[name].zero_grad()
        return False


def grad_of(p: nn.Parameter) -> Tensor:
    """A parameter's ``grad``; zeros where it has none."""
    return torch.zeros_like(p) if p.grad is None else p.grad
