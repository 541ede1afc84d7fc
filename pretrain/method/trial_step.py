"""The trial step w⁺(ψ): how far it goes, and how its gradient reaches w⁺ (``docs/method.md``, section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pretrain.method.tangent import Tensors, norm_of

_CLIP_EPS = 1e-6  # what torch.nn.utils.clip_grad_norm_ adds to the norm


@dataclass(frozen=True)
class Weights:
    """The lower-level weights w, split where the features are; any shapes, outside any graph.

    Attributes:
        backbone: name -> tensor, what the features are computed with.
        heads: name -> tensor, what the losses use beside the features.

    Examples:
        >>> weights = Weights(backbone={"w": torch.ones(2, 3)}, heads={"c": torch.zeros(4)})
        >>> [tuple(t.shape) for t in weights.tensors()]
        [(2, 3), (4,)]
    """

    backbone: Tensors
    heads: Tensors

    def tensors(self) -> list[Tensor]:
        """All tensors, backbone first."""
        return [*self.backbone.values(), *self.heads.values()]

    def like(self, tensors: Iterable[Tensor]) -> Weights:
        """Other tensors under the same names and in the same order."""
        stream = iter(tensors)
        return Weights({k: next(stream) for k in self.backbone}, {k: next(stream) for k in self.heads})


@dataclass(frozen=True)
class TrialStep:
    """The step that ψ is judged by; ``w⁺ = w - lr (momentum·buf + P c g + weight_decay·w)``, g = ∇_w L_tri.

    Lists are in the order of `Weights.tensors`, and everything here is a constant to the derivative.

    Attributes:
        lr: η > 0.
        momentum: of the buffers; 0 leaves them out.
        weight_decay: >= 0; one for all tensors or one for each.
        buffers: momentum buffers of w, read only; None before the first step.
        clip: largest norm of g, c = min(1, clip / ||g||); None for no clipping (c = 1).
        preconditioner: P, per tensor a factor or one of its shape, read only: what AdamW divides by, LARS' trust ratio.
            None for plain SGD (P = 1).

    Examples:
        The step of ``torch.optim.SGD(..., lr=0.1, momentum=0.9)`` that has not moved yet:

        >>> TrialStep(lr=0.1, momentum=0.9).buffers is None
        True
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float | Sequence[float | Tensor] = 0.0
    buffers: Sequence[Tensor] | None = None
    clip: float | None = None
    preconditioner: Sequence[Tensor] | None = None


@torch.no_grad()
def take(weights: Weights, gradient: list[Tensor], step: TrialStep) -> Weights:
    """w⁺; takes over the storage of ``gradient``."""
    w = [t.detach() for t in weights.tensors()]
    if step.clip is not None:
        torch._foreach_mul_(gradient, _clip_factor(norm_of(gradient), step.clip))
    if step.preconditioner is not None:
        torch._foreach_mul_(gradient, list(step.preconditioner))
    if not isinstance(step.weight_decay, float | int):
        for g, t, decay in zip(gradient, w, step.weight_decay, strict=True):
            g.add_(t * decay)
    elif step.weight_decay:
        torch._foreach_add_(gradient, w, alpha=step.weight_decay)
    if step.momentum and step.buffers is not None:
        torch._foreach_add_(gradient, list(step.buffers), alpha=step.momentum)
    torch._foreach_mul_(gradient, -step.lr)
    torch._foreach_add_(gradient, w)
    return weights.like(gradient)


@torch.no_grad()
def back_through(v: Weights, gradient: list[Tensor] | None, step: TrialStep) -> Weights:
    """The direction d with ``⟨∂(P c g)/∂ψ, v⟩ = ⟨∂g/∂ψ, d⟩``, exactly for a constant P.

    ``d = c (u - ĝ ⟨ĝ, u⟩ ||g|| / (||g|| + ε))`` with u = P v, ĝ = g / ||g||: where clipping acts, c depends on ψ
    through ||g||, a change of the gradient's length is clipped away, and only what is orthogonal to it counts. Where it
    does not act, d = u.

    Args:
        v: ∇_{w⁺} U; not modified.
        gradient: g before clipping, in the order of `Weights.tensors`; needed only with a clip.
        step: the trial step.
    """
    if step.preconditioner is not None:
        v = v.like(torch._foreach_mul(v.tensors(), list(step.preconditioner)))
    if step.clip is None:
        return v
    assert gradient is not None, "a clipped step needs its gradient"
    norm, tensors = norm_of(gradient), v.tensors()
    along = torch.stack([(g * d).sum() for g, d in zip(gradient, tensors, strict=True)]).sum()
    # No branch, which would wait for the device: where clipping does not act, the turn is zero and the factor one.
    turn = torch.where(norm + _CLIP_EPS > step.clip, -along / (norm * (norm + _CLIP_EPS)), 0.0)
    turned = torch._foreach_mul(gradient, turn)
    torch._foreach_add_(turned, tensors)
    torch._foreach_mul_(turned, _clip_factor(norm, step.clip))
    return v.like(turned)


def _clip_factor(norm: Tensor, clip: float) -> Tensor:
    """As `torch.nn.utils.clip_grad_norm_` scales, so that the trial step is the real one to the bit."""
    return (clip / (norm + _CLIP_EPS)).clamp_max(1.0)
