"""The upper level during training: when ψ moves, from which weights, and by how much.

Three places for the trial step (``docs/method.md``, section 3):

    post        from the weights after the real step, on the same batch           (MetaMask, the joint method)
    inline      from the weights before it: the real step's forward pass serves   (CompMod)
    look-ahead  the real step *is* the trial step; U and v come from the next batch's own backward pass
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pretrain.algorithm.mixed_precision import autocast, widened
from pretrain.distributed import ranks
from pretrain.method.bilevel import (
    Hypergradient,
    Problem,
    Slopes,
    TrialStep,
    Weights,
    hypergradient,
    second_order,
    sgd_step,
    through_clip,
    trial_gradient,
    upper_gradient,
)
from pretrain.method.objective import Objective, per_view
from pretrain.method.tangent import Tensors
from pretrain.settings.schema import MetaSettings


@dataclass(frozen=True)
class Batch:
    """What the upper level needs of one batch.

    Attributes:
        views: this rank's share of the normalised images, (2, n, 3, H, W); n = N with one process.
        targets: BYOL's target embeddings, (2, N, d), or None.
        fixed: the real step's features that L_comp reads, detached, (2, N, D), or None without CompMod.
        scale: the current multiple of 1/λ of the coding series.
    """

    views: Tensor
    targets: Tensor | None
    fixed: Tensor | None
    scale: float = 1.0

    def part(self, fraction: float) -> Batch:
        """The first images of the whole batch: this share of them, equally many from every rank and two at least."""
        world = ranks.world_size()
        n = max(2 if world == 1 else 1, round(self.views.shape[1] * fraction))
        targets, fixed = (None if t is None else t[:, : n * world] for t in (self.targets, self.fixed))
        return Batch(self.views[:, :n], targets, fixed, self.scale)


@dataclass(frozen=True)
class Leaves:
    """What the real step's losses start from where the upper level needs their graph once more.

    A graph cannot outlive an update of the weights it was built on. Heads and ψ are the model's own storage, without
    its count of updates, until `UpperLevel.remember` gives the model another before they move.

    Attributes:
        h: the features, (2, N, D), cut off from the backbone.
        heads, upper: the heads' part of w and ψ.
    """

    h: Tensor
    heads: Tensors
    upper: Tensors

    def inputs(self) -> list[Tensor]:
        """h, the heads' weights, ψ."""
        return [self.h, *self.heads.values(), *self.upper.values()]


@dataclass(frozen=True)
class Pending:
    """Where a trial step started, and on what: look-ahead's memory of the iteration before.

    Attributes:
        batch: the trial step's batch.
        h: the features at ``weights``, detached, float32, (2, N, D); None where no exact ones are at hand.
        weights: w, copied.
        upper: ψ.
        lr: η of the trial step.
        clip: of the trial step, see `TrialStep`.
        gradient: g before clipping, copied; None without a clip.
        slopes: the real step's own, see `Leaves`; None to compute them again, as after a resume.
    """

    batch: Batch
    h: Tensor | None
    weights: Weights
    upper: Tensors
    lr: float
    clip: float | None = None
    gradient: list[Tensor] | None = None
    slopes: Slopes | None = None


class UpperLevel:
    """Computes dU/dψ for one backbone and objective; reads them, and changes no value of them."""

    def __init__(self, backbone: nn.Module, objective: Objective, settings: MetaSettings) -> None:
        self.backbone, self.objective, self.settings = backbone, objective, settings
        self.pending: Pending | None = None

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
        upper = "upper" if self.settings.upper == "meta" else "upper_lower"
        net, precision = _stateless(self.backbone), self.settings.precision
        return Problem(
            features=lambda w: _features(net, ranks.summed_gradients(w), batch.views, precision),
            trial=lambda h, heads, psi: self._loss(trial, h, heads, psi, batch),
            upper=lambda h, heads, psi: self._loss(upper, h, heads, psi, batch),
            exact=None if precision == "fp32" else lambda w: _features(net, w, batch.views),
        )

    def post(self, batch: Batch, step: TrialStep) -> Hypergradient:
        """dU/dψ of a trial step from the current weights, on ``settings.fraction`` of the batch."""
        part = batch.part(self.settings.fraction)
        return hypergradient(self.problem(part), self.weights(), self.variables(), step, self.settings.hypergradient)

    def leaves(self, h: Tensor) -> Leaves:
        """The heads and ψ as they are now, to build the real step's losses on from ``h``; `remember` must follow."""
        heads = {k: p.data.requires_grad_() for k, p in self.objective.head_parameters().items()}
        upper = {k: p.data.requires_grad_() for k, p in self.objective.upper_parameters().items()}
        return Leaves(h.detach().requires_grad_(), heads, upper)

    def copied(self) -> Weights:
        """A copy of w as it is now: where a real step starts that is ψ's trial step too."""
        w = self.weights()
        return w.like(t.clone() for t in w.tensors())

    def _left_behind(self, leaves: Leaves) -> tuple[Weights, Tensors]:
        """w and ψ as they are now: backbone copied, the rest is ``leaves``; the model moves on with copies of that."""
        for p in self.objective.parameters():
            p.data = p.data.clone()
        backbone = {k: t.clone() for k, t in self.weights().backbone.items()}
        heads, upper = ({k: t.detach() for k, t in part.items()} for part in (leaves.heads, leaves.upper))
        return Weights(backbone, heads), upper

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
        return h, sgd_step(self.weights(), gradient, step), kept

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
        upper = self.variables()
        v, direct, upper_loss = upper_gradient(self.problem(batch), ahead, upper)
        second = self._second_order(Pending(batch, h, start, upper, step.lr, step.clip, gradient), v)
        return Hypergradient(direct, second, torch.zeros_like(upper_loss), upper_loss)

    def remember(
        self,
        batch: Batch,
        h: Tensor | None,
        step: TrialStep,
        gradient: list[Tensor],
        leaves: Leaves | None = None,
        slopes: Slopes | None = None,
    ) -> None:
        """Look-ahead, first half: keep where this iteration's real step starts; ``gradient`` is g before clipping."""
        kept = None if step.clip is None else [g.clone() for g in gradient]
        if leaves is None:
            start, upper = self.copied(), {k: t.clone() for k, t in self.variables().items()}
        else:
            start, upper = self._left_behind(leaves)
        self.pending = Pending(batch, h, start, upper, step.lr, step.clip, kept, slopes)

    def look_back(self, v: Weights, direct: Tensors, upper_loss: Tensor) -> Hypergradient:
        """Look-ahead, second half, one iteration later: v and ∂U/∂ψ come from this batch's backward pass."""
        past, self.pending = self.pending, None
        assert past is not None, "remember() comes first"
        return Hypergradient(direct, self._second_order(past, v), torch.zeros_like(upper_loss), upper_loss)

    def state(self) -> dict[str, Any] | None:
        """Look-ahead's memory as plain containers of tensors; None when there is none.

        Without the images: they are many, other ranks have others, and the data gives them again.
        """
        if self.pending is None:
            return None
        p = self.pending
        return {
            "batch": {**vars(p.batch), "views": torch.empty(0)},
            "h": p.h,
            "backbone": p.weights.backbone,
            "heads": p.weights.heads,
            "upper": p.upper,
            "lr": p.lr,
            "clip": p.clip,
            "gradient": p.gradient,
        }

    def load_state(self, state: dict[str, Any] | None) -> None:
        """The inverse of `state`; `recall` must follow."""
        if state is None:
            self.pending = None
            return
        rest = {k: state[k] for k in ("h", "upper", "lr", "clip", "gradient")}
        self.pending = Pending(
            batch=Batch(**state["batch"]), weights=Weights(state["backbone"], state["heads"]), **rest
        )

    @property
    def forgot_images(self) -> bool:
        """Whether there is a memory without its images, as it comes from a checkpoint."""
        return self.pending is not None and not self.pending.batch.views.numel()

    def recall(self, views: Tensor) -> None:
        """Complete a memory that `load_state` brought by its normalised images, (2, n, 3, H, W)."""
        assert self.pending is not None, "load_state() comes first"
        self.pending = replace(self.pending, batch=replace(self.pending.batch, views=views))

    def _second_order(self, past: Pending, v: Weights) -> Tensors:
        problem, h = self.problem(past.batch), past.h
        if past.gradient is not None:
            v = through_clip(v, past.gradient, past.clip)
        if h is None:
            h = problem.exact_features(past.weights.backbone)
        mode = self.settings.hypergradient
        return second_order(problem, past.weights, past.upper, h, v, past.lr, mode, past.slopes)

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
