"""The real step's forward pass, and the derivatives taken from its one graph (``docs/method.md``, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn
from torch.func import functional_call

from pretrain.algorithm.mixed_precision import LossScale
from pretrain.algorithm.upper import Batch, Leaves
from pretrain.distributed import ranks
from pretrain.method.bilevel import Slopes, no_none
from pretrain.method.objective import Objective
from pretrain.method.tangent import Tensors


@dataclass(frozen=True)
class Forward:
    """The real step's forward pass.

    Attributes:
        h: pooled features, (2, N, D) float32.
        losses: the parts of L_low.
        embeddings: what they were computed from.
        batch: what the upper level needs of it.
        leaves: where the losses start; None: at h, the heads and ψ themselves.
    """

    h: Tensor
    losses: Mapping[str, Tensor]
    embeddings: Mapping[str, Tensor]
    batch: Batch
    leaves: Leaves | None


class RealStep:
    """The losses of the real step, its backward pass, and what look-ahead judges the trial step before it by.

    Args:
        objective: heads, upper variables and losses.
        gradients: their way back to the parameters.
        upper: what L_up is, the upper level's loss without L_comp: meta or lower.
    """

    def __init__(self, objective: Objective, gradients: Gradients, upper: str) -> None:
        self.objective, self.gradients, self.upper = objective, gradients, upper

    def losses(
        self, h: Tensor, targets: Tensor | None, scale: float, leaves: Leaves | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """`Objective.losses_and_embeddings`, from the leaves where there are any."""
        if leaves is None:
            return self.objective.losses_and_embeddings(h, targets, scale)
        starts = {f"objective.{k}": tensor for k, tensor in (leaves.heads | leaves.upper).items()}
        found: tuple[dict[str, Tensor], dict[str, Tensor]] = functional_call(
            _Parts(self.objective), starts, (leaves.h, targets, scale)
        )
        return found

    def judge(
        self, lower: Tensor, forward: Forward, optim: OptimWrapperDict, *, waits: bool
    ) -> tuple[list[Tensor], Tensors, Tensor, Slopes | None]:
        """The real step's backward pass and, beside it, v = ∇_w L_up, ∂L_up/∂ψ and L_up of the current weights.

        v and ∂L_up/∂ψ are empty where no trial step waits for its judgement.

        Args:
            lower: L_low.
            forward: where it comes from.
            optim: takes its gradient by w.
            waits: whether a trial step waits.

        Returns:
            v in the order of `Weights.tensors`, ∂L_up/∂ψ, L_up, and the slopes of L_low where the heads' graph is
            shared. With L_up = L_low the gradients are the parameters' own ``grad``, which `Gradients.settled` changes.
        """
        if waits and self.upper == "meta":
            judged = forward.losses[self.objective.meta_loss]
            v, direct = self._gradient(judged, forward)
            _, slopes = self._backward(lower, forward, optim, of_upper=False)
            return v, direct, judged.detach(), slopes
        direct, slopes = self._backward(lower, forward, optim, of_upper=waits)
        v = [grad_of(p) for p in self.gradients.lower_parameters()] if waits else []
        return v, direct, lower.detach(), slopes

    def comp_gradient(self, forward: Forward) -> tuple[Tensor | float, Tensors]:
        """``λ2 L_comp`` and its gradient by ξ from the real step's Ẑ, whose graph stays; nothing without CompMod.

        L_comp reads constant features, and its gradient by ξ alone never passes them.
        """
        if not self.objective.method.comp:
            return 0.0, {}
        comp = self.objective.settings.comp_weight * self.objective.compactness(
            forward.embeddings["mcr"], forward.batch.scale
        )
        psi = self.objective.upper_parameters() if forward.leaves is None else forward.leaves.upper
        fusion = {k: p for k, p in psi.items() if k.startswith("fusion.")}
        return comp.detach(), dict(
            zip(fusion, torch.autograd.grad(comp, list(fusion.values()), retain_graph=True), strict=True)
        )

    def _backward(
        self, lower: Tensor, forward: Forward, optim: OptimWrapperDict, *, of_upper: bool
    ) -> tuple[Tensors, Slopes | None]:
        """Put ∇_w L_low into w's ``grad``.

        Returns:
            ∇_ψ L_low if ``of_upper``, and the slopes of L_low where the heads' graph is shared.
        """
        psi, leaves = self.objective.upper_parameters() if of_upper else {}, forward.leaves
        if leaves is None:
            self.gradients.add(lower, optim, [*self.gradients.lower_parameters(), *psi.values()])
            return {k: grad_of(p) for k, p in psi.items()}, None
        heads = list(leaves.heads.values())
        inputs = [leaves.h, *heads, *(leaves.upper[k] for k in psi)]
        found = torch.autograd.grad(lower, inputs, create_graph=True, allow_unused=True)
        h_gradient, *values = [g.detach() for g in no_none(found, inputs)]
        # The derivative of this scalar is that of L_low: the backward pass goes on through the backbone.
        optim["lower"].backward((forward.h * h_gradient).sum(), inputs=list(self.gradients.backbone.parameters()))
        ranks.average_(values)
        for p, g in zip(self.objective.head_parameters().values(), values[: len(heads)], strict=True):
            p.grad = g
        return dict(zip(psi, values[len(heads) :], strict=True)), Slopes(found[: 1 + len(heads)], leaves.upper)

    def _gradient(self, loss: Tensor, forward: Forward) -> tuple[list[Tensor], Tensors]:
        """A loss's gradient by w and by ψ; the graph stays."""
        heads, psi = self.objective.head_parameters(), self.objective.upper_parameters()
        inputs: list[Tensor] = [forward.h, *heads.values(), *psi.values()]
        if forward.leaves is not None:
            inputs = forward.leaves.inputs()
        found = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
        h_gradient, *rest = no_none(found, inputs)
        w = [*self.gradients.of_backbone(forward.h, h_gradient), *rest[: len(heads)]]
        return w, dict(zip(psi, rest[len(heads) :], strict=True))


class _Parts(nn.Module):
    """`Objective.losses_and_embeddings` in a place that `torch.func.functional_call` can reach."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, h: Tensor, targets: Tensor | None, scale: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return self.objective.losses_and_embeddings(h, targets, scale)


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
        """w in the order of `pretrain.method.bilevel.Weights.tensors`."""
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
