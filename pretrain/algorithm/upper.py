"""The upper level during training: from which weights the trial step goes, and dU/dψ.

Two places for the trial step (``docs/method.md``, section 3):

    post        from the weights after the real step, on the same batch           (MetaMask, the joint method)
    inline      from the weights before it: the real step's forward pass serves   (CompMod)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pretrain.algorithm.mixed_precision import autocast, widened
from pretrain.distributed import ranks
from pretrain.method.bilevel import (
    Hypergradient,
    Problem,
    hypergradient,
    second_order,
    trial_gradient,
    upper_gradient,
)
from pretrain.method.objective import Objective, per_view
from pretrain.method.tangent import Tensors
from pretrain.method.trial_step import TrialStep, Weights, back_through, take
from pretrain.settings.sections import MetaSettings


@dataclass(frozen=True)
class Batch:
    """What the upper level needs of one batch.

    Attributes:
        views: this rank's share of the normalised images, (2, n, 3, H, W); n = N with one process.
        targets: BYOL's target embeddings, (2, N, d), or None.
        fixed: what L_comp reads of the real step, detached, (2, N, D or d), or None without CompMod.
        scale: the current multiple of 1/λ of the coding series.
    """

    views: Tensor
    targets: Tensor | None
    fixed: Tensor | None
    scale: float = 1.0


class UpperLevel:
    """Computes dU/dψ for one backbone and objective; reads them, and changes no value of them."""

    def __init__(self, backbone: nn.Module, objective: Objective, settings: MetaSettings) -> None:
        self.backbone, self.objective, self.settings = backbone, objective, settings

    def weights(self) -> Weights:
        """w, detached but not copied."""
        heads = {k: p.detach() for k, p in self.objective.head_parameters().items()}
        return Weights({k: p.detach() for k, p in self.backbone.named_parameters()}, heads)

    def variables(self) -> Tensors:
        """ψ, detached but not copied."""
        return {k: p.detach() for k, p in self.objective.upper_parameters().items()}

    def problem(self, batch: Batch) -> Problem:
        """The two levels on one batch, on copies of the running statistics.

        In float32, all but the backbone's passes where ``settings.precision`` says so; differences of features never
        are of less.
        """
        trial = "trial" if self.settings.trial == "meta" else "lower"
        net, precision = _stateless(self.backbone), self.settings.precision
        return Problem(
            features=lambda w: _features(net, ranks.summed_gradients(w), batch.views, precision),
            trial=lambda h, heads, psi: self._loss(trial, h, heads, psi, batch),
            upper=lambda h, heads, psi: self._loss("upper", h, heads, psi, batch),
            exact=None if precision == "fp32" else lambda w: _features(net, w, batch.views),
        )

    def post(self, batch: Batch, step: TrialStep) -> Hypergradient:
        """dU/dψ of a trial step from the current weights."""
        return hypergradient(self.problem(batch), self.weights(), self.variables(), step, self.settings.hypergradient)

    def copied(self) -> Weights:
        """A copy of w as it is now: where a real step starts that is ψ's trial step too."""
        w = self.weights()
        return w.like(t.clone() for t in w.tensors())

    def trial_step(
        self, batch: Batch, h: Tensor | None, gradient: list[Tensor] | None, step: TrialStep
    ) -> tuple[Tensor | None, Weights, list[Tensor] | None]:
        """The exact features at the current weights, w⁺ of a trial step from there, and, with a clip, its g.

        Args:
            batch: the real step's batch.
            h: the real step's features, detached, float32; None where they are not exact.
            gradient: ∇_w L_tri from the real step's graph, in the order of `Weights.tensors`; its storage is taken
                over. None to compute it.
            step: the trial step.

        Returns:
            The features are None where none are at hand; g is from before clipping.
        """
        if gradient is None:
            problem = self.problem(batch)
            trial = trial_gradient(problem, self.weights(), self.variables())
            gradient = trial.gradient
            if h is None and problem.exact is None:
                h = trial.h
        kept = None if step.clip is None else [g.clone() for g in gradient]
        return h, take(self.weights(), gradient, step), kept

    def inline(
        self,
        batch: Batch,
        h: Tensor | None,
        start: Weights,
        ahead: Weights,
        step: TrialStep,
        gradient: list[Tensor] | None,
    ) -> Hypergradient:
        """dU/dψ of a trial step that began where the real step did.

        Args:
            batch: the real step's batch.
            h: the features at ``start``, detached, float32; None to compute them.
            start: the weights before the real step.
            ahead: w⁺.
            step: the trial step.
            gradient: its g before clipping; None without a clip.
        """
        problem, psi, mode = self.problem(batch), self.variables(), self.settings.hypergradient
        v, direct, upper_loss = upper_gradient(problem, ahead, psi)
        direction = back_through(v, gradient, step)
        if h is None:
            h = problem.exact_features(start.backbone)
        second = second_order(problem, start, psi, h, direction, step.lr, mode)
        return Hypergradient(direct, second, torch.zeros_like(upper_loss), upper_loss)

    def _loss(self, kind: str, h: Tensor, heads: Tensors, psi: Tensors, batch: Batch) -> Tensor:
        return _stateless(self.objective)({**heads, **psi}, kind, h, batch.targets, batch.fixed, batch.scale)


def _features(net: Callable[..., Tensor], weights: Tensors, views: Tensor, precision: str = "fp32") -> Tensor:
    """The whole batch's features from this rank's views."""
    with autocast(views.device, precision):
        h = per_view(lambda view: net(weights, view), views)
    return ranks.gather(widened(h))


def _stateless(module: nn.Module) -> Callable[..., Tensor]:
    """(parameters, *inputs) -> output, on copies of the buffers: running statistics stay as they are."""

    def call(parameters: Tensors, *inputs: object) -> Tensor:
        buffers = {k: b.clone() for k, b in module.named_buffers()}
        return functional_call(module, {**parameters, **buffers}, inputs, strict=True)

    return call
