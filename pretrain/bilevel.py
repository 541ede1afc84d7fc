"""The hypergradient of one trial step, exactly and without the unrolled graph.

The upper variables ψ enter only behind the backbone. So the mixed derivative of the trial step needs no second
backward pass through the backbone (``docs/method.md``, section 4):

    w⁺(ψ)   = w - η (momentum·buf + ∇_w L_tri(w; ψ) + wd·w)
    U(ψ)    = L_up(w⁺(ψ); ψ)
    dU/dψ   = ∂U/∂ψ - η ∂/∂ψ ⟨∇_w L_tri(w; ψ), v⟩,                 v = ∇_{w⁺} U
    ⟨∇_w L_tri, v⟩ = ⟨∂L_tri/∂h, ḣ⟩ + ⟨∂L_tri/∂heads, v_heads⟩     ḣ = derivative of h(w) along v_backbone

The right-hand side needs ḣ, one directional derivative of the features, and a double backward pass over the heads.
Weights are dictionaries of tensors; nothing here knows of modules, optimisers, loaders or devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor

Tensors = dict[str, Tensor]
MODES = ("feature_difference", "forward_mode", "finite_difference", "first_order")

# Length of the feature difference's step relative to ||w||. Too long meets the curvature and the ReLU kinks, too
# short the rounding of float32 features; tests/test_bilevel_float32.py prints the error over a range of lengths.
RELATIVE_STEP = 1e-5

_CLIP_EPS = 1e-6  # what torch.nn.utils.clip_grad_norm_ adds to the norm


@dataclass(frozen=True)
class Problem:
    """Two levels whose upper variables enter only behind the features.

    Attributes:
        features: backbone weights -> features h on this batch, any shape; must not touch running statistics.
        trial: (h, head weights, ψ) -> L_tri, a scalar.
        upper: (h at w⁺, head weights at w⁺, ψ) -> U, a scalar.
    """

    features: Callable[[Tensors], Tensor]
    trial: Callable[[Tensor, Tensors, Tensors], Tensor]
    upper: Callable[[Tensor, Tensors, Tensors], Tensor]


@dataclass(frozen=True)
class Weights:
    """The lower-level weights w, split where the features are."""

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
    """The SGD step that ψ is judged by; ``w⁺ = w - lr (momentum·buf + c g + weight_decay·w)``.

    Attributes:
        lr: η > 0.
        momentum: of the buffers; 0 leaves them out.
        weight_decay: >= 0.
        buffers: momentum buffers of w in the order of `Weights.tensors`, read only; None before the first step.
        clip: largest norm of g = ∇_w L_tri, c = min(1, clip / ||g||); None for no clipping (c = 1).
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    buffers: list[Tensor] | None = None
    clip: float | None = None


@dataclass(frozen=True)
class Hypergradient:
    """dU/dψ in its two parts, and the values met on the way.

    Attributes:
        direct: ∂U/∂ψ at w⁺; zeros where U does not contain ψ.
        second_order: the part through w⁺(ψ); zeros for ``first_order``.
        trial_loss, upper_loss: L_tri at w and U at w⁺, detached scalars.
    """

    direct: Tensors
    second_order: Tensors
    trial_loss: Tensor
    upper_loss: Tensor

    def total(self) -> Tensors:
        """dU/dψ."""
        return {name: self.direct[name] + self.second_order[name] for name in self.direct}


def hypergradient(
    problem: Problem, weights: Weights, upper: Tensors, step: TrialStep, mode: str = "feature_difference"
) -> Hypergradient:
    """dU/dψ through one trial step from ``weights``.

    Args:
        problem: the two levels on one batch.
        weights: w, detached; not modified.
        upper: ψ, detached; not modified.
        step: the trial step.
        mode: ``forward_mode`` is exact; ``feature_difference`` replaces its directional derivative by a difference
            quotient of the features (one forward pass); ``finite_difference`` is the central difference of
            gradients of DARTS and MetaMask's release (two forward passes, wrong by tens of percent behind ReLU);
            ``first_order`` leaves the second part out.

    Raises:
        ValueError: unknown mode or no upper variable.
    """
    if mode not in MODES:
        raise ValueError(f"hypergradient: expected one of {', '.join(MODES)}, found {mode!r}")
    if not upper:
        raise ValueError("hypergradient: expected at least one upper variable, found none")
    h, gradient, trial_loss = trial_gradient(problem, weights, upper)
    clipped = None if step.clip is None else [g.clone() for g in gradient]
    looked_ahead = sgd_step(weights, gradient, step)
    del gradient
    v, direct, upper_loss = upper_gradient(problem, looked_ahead, upper)
    del looked_ahead
    if clipped is not None:
        v = through_clip(v, clipped, step.clip)
        del clipped
    second = second_order(problem, weights, upper, h, v, step.lr, mode)
    return Hypergradient(direct, second, trial_loss, upper_loss)


def trial_gradient(problem: Problem, weights: Weights, upper: Tensors) -> tuple[Tensor, list[Tensor], Tensor]:
    """The features at w (detached), ∇_w L_tri in the order of `Weights.tensors`, and L_tri."""
    w = _leaves(weights)
    h = problem.features(w.backbone)
    loss = problem.trial(h, w.heads, upper)
    gradient = torch.autograd.grad(loss, w.tensors(), allow_unused=True)
    return h.detach(), no_none(gradient, w.tensors()), loss.detach()


@torch.no_grad()
def sgd_step(weights: Weights, gradient: list[Tensor], step: TrialStep) -> Weights:
    """w⁺; takes over the storage of ``gradient``."""
    w = [t.detach() for t in weights.tensors()]
    if step.clip is not None:
        torch._foreach_mul_(gradient, _clip_factor(_norm(gradient), step.clip))
    if step.weight_decay:
        torch._foreach_add_(gradient, w, alpha=step.weight_decay)
    if step.momentum and step.buffers is not None:
        torch._foreach_add_(gradient, step.buffers, alpha=step.momentum)
    torch._foreach_mul_(gradient, -step.lr)
    torch._foreach_add_(gradient, w)
    return weights.like(gradient)


@torch.no_grad()
def through_clip(v: Weights, gradient: list[Tensor], clip: float | None) -> Weights:
    """The direction d with ``⟨∂(c g)/∂ψ, v⟩ = ⟨∂g/∂ψ, d⟩`` for the clipped gradient c g, exactly.

    Where clipping acts, c depends on ψ through ||g||: ``d = c (v - ĝ ⟨ĝ, v⟩ ||g|| / (||g|| + ε))``, ĝ = g / ||g||; a
    change of the gradient's length is clipped away, so only what is orthogonal to it counts. Where it does not act,
    d = v.

    Args:
        v: ∇_{w⁺} U; not modified.
        gradient: g before clipping, in the order of `Weights.tensors`.
        clip: as in `TrialStep`.
    """
    norm = _norm(gradient)
    if clip is None or float(norm) + _CLIP_EPS <= clip:
        return v
    tensors = v.tensors()
    along = sum((g * d).sum() for g, d in zip(gradient, tensors, strict=True))
    turned = torch._foreach_mul(gradient, -along / (norm * (norm + _CLIP_EPS)))
    torch._foreach_add_(turned, tensors)
    torch._foreach_mul_(turned, _clip_factor(norm, clip))
    return v.like(turned)


def upper_gradient(problem: Problem, weights: Weights, upper: Tensors) -> tuple[Weights, Tensors, Tensor]:
    """v = ∇_w U and ∂U/∂ψ at the given (looked-ahead) weights, and U."""
    w = _leaves(weights)
    psi = {name: t.detach().requires_grad_() for name, t in upper.items()}
    loss = problem.upper(problem.features(w.backbone), w.heads, psi)
    inputs = [*w.tensors(), *psi.values()]
    gradient = no_none(torch.autograd.grad(loss, inputs, allow_unused=True), inputs)
    split = len(w.tensors())
    direct = dict(zip(psi, gradient[split:], strict=True))
    return weights.like(gradient[:split]), direct, loss.detach()


def second_order(
    problem: Problem, weights: Weights, upper: Tensors, h: Tensor, v: Weights, lr: float, mode: str
) -> Tensors:
    """``-η ∂/∂ψ ⟨∇_w L_tri(w; ψ), v⟩``.

    Args:
        problem: the two levels on the trial step's batch.
        weights: w, where the trial step started.
        upper: ψ.
        h: the features at w on the trial step's batch (used by ``feature_difference``).
        v: ∇_{w⁺} U.
        lr: η of the trial step.
        mode: see `hypergradient`.
    """
    if mode == "first_order":
        return {name: torch.zeros_like(t) for name, t in upper.items()}
    if mode == "finite_difference":
        mixed = gradient_difference(problem, weights, upper, v)
    else:
        tangent = feature_tangent(problem, weights.backbone, v.backbone, h if mode == "feature_difference" else None)
        mixed = mixed_derivative(problem, h, tangent, weights.heads, v.heads, upper)
    return {name: t.mul_(-lr) for name, t in mixed.items()}


@torch.no_grad()
def feature_tangent(
    problem: Problem, backbone: Tensors, direction: Tensors, h: Tensor | None, relative_step: float = RELATIVE_STEP
) -> Tensor:
    """ḣ, the derivative of the features along ``direction``: a difference quotient from h, or exact where h is None.

    The step is ``relative_step * ||w||`` long: what counts for the rounding error is how far the weights move beside
    their own size, and v's size differs by orders of magnitude over a run.
    """
    if h is None:
        return _exact_tangent(problem, backbone, direction)
    s = step_length(backbone.values(), direction.values(), relative_step)
    if s == 0:
        return torch.zeros_like(h)
    moved = problem.features({name: torch.add(w, direction[name], alpha=s) for name, w in backbone.items()})
    return moved.sub_(h).div_(s) if moved.dtype == h.dtype else (moved - h) / s


def step_length(weights: Iterable[Tensor], direction: Iterable[Tensor], relative: float) -> float:
    """s with ``||s v|| = relative ||w||``; 0 where v vanishes."""
    w, v = float(_norm(list(weights))), float(_norm(list(direction)))
    return relative * w / v if v > 0 else 0.0


def _exact_tangent(problem: Problem, backbone: Tensors, direction: Tensors) -> Tensor:
    with forward_ad.dual_level():
        dual = {name: forward_ad.make_dual(w.detach(), direction[name]) for name, w in backbone.items()}
        tangent = forward_ad.unpack_dual(problem.features(dual)).tangent
        if tangent is None:
            raise ValueError("forward mode: the features do not depend on the backbone's weights")
        return tangent.clone()


def mixed_derivative(
    problem: Problem, h: Tensor, tangent: Tensor, heads: Tensors, direction: Tensors, upper: Tensors
) -> Tensors:
    """``∂/∂ψ (⟨∂L_tri/∂h, ḣ⟩ + ⟨∂L_tri/∂heads, v_heads⟩)``: a double backward pass over the heads alone."""
    leaf = h.detach().requires_grad_()
    head = {name: t.detach().requires_grad_() for name, t in heads.items()}
    psi = {name: t.detach().requires_grad_() for name, t in upper.items()}
    inputs, along = [leaf, *head.values()], [tangent, *direction.values()]
    with torch.enable_grad():
        loss = problem.trial(leaf, head, psi)
        gradient = torch.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
        slope = sum((g * d).sum() for g, d in zip(gradient, along, strict=True) if g is not None)
        if not (isinstance(slope, Tensor) and slope.requires_grad):
            return {name: torch.zeros_like(t) for name, t in upper.items()}
        mixed = torch.autograd.grad(slope, list(psi.values()), allow_unused=True)
    return dict(zip(psi, no_none(mixed, psi.values()), strict=True))


def gradient_difference(
    problem: Problem, weights: Weights, upper: Tensors, v: Weights, radius: float = 1e-2
) -> Tensors:
    """The same mixed derivative as a central difference of ∂L_tri/∂ψ at ``w ± s v``, ||s v|| = radius (DARTS eq. 8)."""
    norm = float(_norm(v.tensors()))
    if norm == 0:
        return {name: torch.zeros_like(t) for name, t in upper.items()}
    s = radius / norm
    psi = {name: t.detach().requires_grad_() for name, t in upper.items()}
    sides = []
    for sign in (s, -s):
        with torch.no_grad():
            w = weights.like(torch._foreach_add([t.detach() for t in weights.tensors()], v.tensors(), alpha=sign))
            h = problem.features(w.backbone)
        with torch.enable_grad():
            gradient = torch.autograd.grad(problem.trial(h, w.heads, psi), list(psi.values()), allow_unused=True)
        sides.append(no_none(gradient, psi.values()))
        del w, h  # before the other side's weights are made
    return {name: (a - b) / (2 * s) for name, a, b in zip(psi, *sides, strict=True)}


def _norm(tensors: list[Tensor]) -> Tensor:
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors)))


def _clip_factor(norm: Tensor, clip: float) -> Tensor:
    """As `torch.nn.utils.clip_grad_norm_` scales, so that the trial step is the real one to the bit."""
    return (clip / (norm + _CLIP_EPS)).clamp_max(1.0)


def _leaves(weights: Weights) -> Weights:
    return weights.like(t.detach().requires_grad_() for t in weights.tensors())


def no_none(gradient: Iterable[Tensor | None], inputs: Iterable[Tensor]) -> list[Tensor]:
    """Gradients with zeros for the inputs that the loss does not contain."""
    return [torch.zeros_like(t) if g is None else g for g, t in zip(gradient, inputs, strict=True)]
