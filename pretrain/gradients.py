"""A loss's way back to the parameters in the real step: over all ranks, and through float16's range."""

from __future__ import annotations

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from pretrain import ranks
from pretrain.mixed_precision import LossScale
from pretrain.objective import Objective


class Gradients:
    """Puts gradients into the parameters' ``grad``, the same to the bit on every rank.

    The backbone's are summed over the ranks on their way (`pretrain.ranks.replicated`). The heads' are whole on every
    rank: they are averaged only against the rounding of a GPU's unordered sums.

    Args:
        backbone, objective: whose parameters they are.
        loss_scale: for a backbone that runs in float16, else None.
    """

    def __init__(self, backbone: nn.Module, objective: Objective, loss_scale: LossScale | None) -> None:
        self.backbone, self.objective, self.loss_scale = backbone, objective, loss_scale

    def lower_parameters(self) -> list[nn.Parameter]:
        """w in the order of `pretrain.bilevel.Weights.tensors`."""
        return [*self.backbone.parameters(), *self.objective.head_parameters().values()]

    def add(self, loss: Tensor, optim: OptimWrapperDict, inputs: list[nn.Parameter] | None = None) -> None:
        """Add those of one loss, by default of all parameters; with a loss scale until `settled`."""
        optim["lower"].backward(loss if self.loss_scale is None else self.loss_scale.up(loss), inputs=inputs)
        if ranks.world_size() > 1:
            ranks.average_([p.grad for p in self.objective.parameters() if p.grad is not None])

    def of_backbone(self, h: Tensor, h_gradient: Tensor) -> list[Tensor]:
        """A loss's gradient by the backbone, given that by the features; no ``grad`` is touched, the graph stays."""
        parameters, scale = list(self.backbone.parameters()), self.loss_scale
        if scale is None:
            return list(torch.autograd.grad(h, parameters, h_gradient, retain_graph=True))
        return scale.down(torch.autograd.grad(h, parameters, scale.up(h_gradient), retain_graph=True))

    def settled(self, optim: OptimWrapperDict, others: list[Tensor] | None = None) -> bool:
        """Take the loss scale out of all gradients, once in an iteration and before anything reads them.

        Args:
            optim: whose gradients.
            others: more that must be finite, from `of_backbone`.

        Returns:
            False where one overflowed. All are gone then, and nothing may move in this iteration, ψ and BYOL's target
            included: where the real step is the trial step there is none to judge.
        """
        if self.loss_scale is None:
            return True
        names = list(optim.keys())
        if self.loss_scale.settle([optim[name].optimizer for name in names], others or ()):
            return True
        for name in names:
            optim[name].zero_grad()
        return False


def grad_of(p: nn.Parameter) -> Tensor:
    """A parameter's ``grad``; zeros where it has none."""
    return torch.zeros_like(p) if p.grad is None else p.grad
