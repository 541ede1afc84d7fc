"""The hypergradient of one trial step, exactly and without the unrolled graph.

The upper variables ψ enter only behind the backbone. So the mixed derivative of the trial step needs no second
backward pass through the backbone (``docs/method.md``, section 4):

    w⁺(ψ)   = w - η (momentum·buf + P ∇_w L_tri(w; ψ) + wd·w)      P constant: 1 for SGD
    U(ψ)    = L_up(w⁺(ψ); ψ)
    dU/dψ   = ∂U/∂ψ - η ∂/∂ψ ⟨∇_w L_tri(w; ψ), v⟩,                 v = P ∇_{w⁺} U
    ⟨∇_w L_tri, v⟩ = ⟨∂L_tri/∂h, ḣ⟩ + ⟨∂L_tri/∂heads, v_heads⟩     ḣ = derivative of h(w) along v_backbone

The right-hand side needs ḣ, one directional derivative of the features, and a double backward pass over the heads.
Weights are dictionaries of tensors; nothing here knows of modules, optimisers, loaders or devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from pretrain.method import trial_step
from pretrain.method.tangent import Tensors, feature_tangent, norm_of
from pretrain.method.trial_step import TrialStep, Weights

MODES = ("feature_difference", "forward_mode", "finite_difference", "first_order")


@dataclass(frozen=True)
class Problem:
    """Two levels whose upper variables enter only behind the features.

    Attributes:
        features: backbone weights -> features h on this batch, any shape; must not touch running statistics.
        trial: (h, head weights, ψ) -> L_tri, a scalar.
        upper: (h at w⁺, head weights at w⁺, ψ) -> U, a scalar.
        exact: the same features in full precision where ``features`` computes in less; differences are taken of these.

    Examples:
        A layer w, a factor c behind it, and an upper variable m that scales the features in the trial loss alone:

        >>> problem = Problem(
        ...     features=lambda backbone: backbone["w"] * torch.ones(3),
        ...     trial=lambda h, heads, psi: (psi["m"] * heads["c"] * h).square().mean() / 2,
        ...     upper=lambda h, heads, psi: (heads["c"] * h - 1).square().mean() / 2,
        ... )
        >>> problem.features({"w": torch.tensor(2.0)})
        tensor([2., 2., 2.])
    """

    features: Callable[[Tensors], Tensor]
    trial: Callable[[Tensor, Tensors, Tensors], Tensor]
    upper: Callable[[Tensor, Tensors, Tensors], Tensor]
    exact: Callable[[Tensors], Tensor] | None = None

    def exact_features(self, backbone: Tensors) -> Tensor:
        """Features in full precision, without a graph."""
        with torch.no_grad():
            return (self.exact or self.features)(backbone)


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

    Returns:
        Both parts of dU/dψ under the names and in the shapes of ``upper``, and the values of L_tri and U.

    Raises:
        ValueError: unknown mode or no upper variable.

    Examples:
        With L_tri = (m c w)² / 2 and U = (c w - 1)² / 2 at c = w = m = 1, the trial step of rate 0.1 leads to c = w =
        0.9, where ∂U/∂w = ∂U/∂c = 0.9 (0.81 - 1), and dw/dm = dc/dm = -0.1 · 2. U itself contains no m.

        >>> problem = Problem(
        ...     features=lambda backbone: backbone["w"],
        ...     trial=lambda h, heads, psi: (psi["m"] * heads["c"] * h).square() / 2,
        ...     upper=lambda h, heads, psi: (heads["c"] * h - 1).square() / 2,
        ... )
        >>> one = torch.tensor(1.0)
        >>> result = hypergradient(problem, Weights({"w": one}, {"c": one}), {"m": one}, TrialStep(lr=0.1))
        >>> print(f"{result.direct['m']:.4f} {result.second_order['m']:.4f} {result.total()['m']:.4f}")
        0.0000 0.0684 0.0684
    """
    if mode not in MODES:
        raise ValueError(f"hypergradient: expected one of {', '.join(MODES)}, found {mode!r}")
    if not upper:
        raise ValueError("hypergradient: expected at least one upper variable, found none")
    trial = trial_gradient(problem, weights, upper)
    clipped = None if step.clip is None else [g.clone() for g in trial.gradient]
    looked_ahead = trial_step.take(weights, trial.gradient, step)
    v, direct, upper_loss = upper_gradient(problem, looked_ahead, upper)
    del looked_ahead  # in the storage of the gradient
    trial.gradient.clear()
    direction = trial_step.back_through(v, clipped, step)
    del v, clipped
    inexact = problem.exact is not None and mode == "feature_difference"
    h = problem.exact_features(weights.backbone) if inexact else trial.h
    second = second_order(problem, weights, upper, h, direction, step.lr, mode, trial.slopes)
    return Hypergradient(direct, second, trial.loss, upper_loss)


@dataclass(frozen=True)
class Trial:
    """What one forward and backward pass of L_tri gives.

    Attributes:
        h: the features at w, detached.
        gradient: ∇_w L_tri in the order of `Weights.tensors`.
        loss: L_tri, detached.
        slopes: the part behind the backbone, ready for the mixed derivative.
    """

    h: Tensor
    gradient: list[Tensor]
    loss: Tensor
    slopes: Slopes


def trial_gradient(problem: Problem, weights: Weights, upper: Tensors) -> Trial:
    """One forward and backward pass of L_tri at ``weights``."""
    w = {name: t.detach().requires_grad_() for name, t in weights.backbone.items()}
    h = problem.features(w)
    slopes, (h_gradient, *heads), loss = head_slopes(problem, h, weights.heads, upper)
    backbone = torch.autograd.grad(h, list(w.values()), grad_outputs=h_gradient, allow_unused=True)
    return Trial(h.detach(), [*no_none(backbone, w.values()), *heads], loss, slopes)


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
    problem: Problem,
    weights: Weights,
    upper: Tensors,
    h: Tensor,
    v: Weights,
    lr: float,
    mode: str,
    slopes: Slopes | None = None,
) -> Tensors:
    """``-η ∂/∂ψ ⟨∇_w L_tri(w; ψ), v⟩``.

    Args:
        problem: the two levels on the trial step's batch.
        weights: w, where the trial step started.
        upper: ψ.
        h: the features at w on the trial step's batch; exact ones for ``feature_difference``.
        v: P ∇_{w⁺} U, see `pretrain.method.trial_step.back_through`.
        lr: η of the trial step.
        mode: see `hypergradient`.
        slopes: those at h and w where they are at hand, spent here; None to compute them.
    """
    if mode == "first_order":
        return {name: torch.zeros_like(t) for name, t in upper.items()}
    if mode == "finite_difference":
        mixed = gradient_difference(problem, weights, upper, v)
    else:
        if mode == "feature_difference":
            tangent = feature_tangent(problem.exact_features, weights.backbone, v.backbone, h)
        else:
            tangent = feature_tangent(problem.features, weights.backbone, v.backbone, None)
        if slopes is None:
            slopes, _, _ = head_slopes(problem, h, weights.heads, upper)
        mixed = slopes.along(tangent, v.heads)
    return {name: t.mul_(-lr) for name, t in mixed.items()}


class Slopes:
    """∂L_tri/∂h and ∂L_tri/∂heads at one point, as functions of ψ.

    One forward and one backward pass over the heads give both the gradient of a step and, once v is known, the mixed
    derivative: only the second backward pass is left to do. What is kept is the graph behind the backbone, not the
    gradients themselves.
    """

    def __init__(self, gradient: Sequence[Tensor | None], upper: Tensors) -> None:
        """``gradient`` by h and by each of the heads' weights, made with ``create_graph``; ψ that it depends on."""
        self._edges = [get_gradient_edge(g) if g is not None and g.requires_grad else None for g in gradient]
        self._upper = upper

    def along(self, tangent: Tensor, direction: Tensors) -> Tensors:
        """``∂/∂ψ (⟨∂L_tri/∂h, ḣ⟩ + ⟨∂L_tri/∂heads, v_heads⟩)``; the graph is spent.

        Args:
            tangent: ḣ, of h's shape.
            direction: v_heads, in the order of the gradient.
        """
        live = [(e, d) for e, d in zip(self._edges, (tangent, *direction.values()), strict=True) if e is not None]
        if not live:
            return {name: torch.zeros_like(t) for name, t in self._upper.items()}
        edges, along = zip(*live, strict=True)
        # The products themselves are never formed: the direction is what flows back from the gradient.
        mixed = torch.autograd.grad(edges, list(self._upper.values()), grad_outputs=along, allow_unused=True)
        return dict(zip(self._upper, no_none(mixed, self._upper.values()), strict=True))


def head_slopes(problem: Problem, h: Tensor, heads: Tensors, upper: Tensors) -> tuple[Slopes, list[Tensor], Tensor]:
    """The slopes of L_tri at (h, heads; ψ), the detached gradient by h and each of the heads, and L_tri."""
    leaf = h.detach().requires_grad_()
    head = {name: t.detach().requires_grad_() for name, t in heads.items()}
    psi = {name: t.detach().requires_grad_() for name, t in upper.items()}
    inputs = [leaf, *head.values()]
    with torch.enable_grad():
        loss = problem.trial(leaf, head, psi)
        gradient = torch.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
    return Slopes(gradient, psi), [g.detach() for g in no_none(gradient, inputs)], loss.detach()


def gradient_difference(
    problem: Problem, weights: Weights, upper: Tensors, v: Weights, radius: float = 1e-2
) -> Tensors:
    """The same mixed derivative as a central difference of ∂L_tri/∂ψ at ``w ± s v``, ||s v|| = radius (DARTS eq. 8)."""
    norm = norm_of(v.tensors())
    s = torch.where(norm > 0, radius / norm, 0.0)
    psi = {name: t.detach().requires_grad_() for name, t in upper.items()}
    sides = []
    for sign in (s, -s):
        with torch.no_grad():
            w = weights.like(
                torch.addcmul(t.detach(), d, sign) for t, d in zip(weights.tensors(), v.tensors(), strict=True)
            )
            h = problem.features(w.backbone)
        with torch.enable_grad():
            gradient = torch.autograd.grad(problem.trial(h, w.heads, psi), list(psi.values()), allow_unused=True)
        sides.append(no_none(gradient, psi.values()))
        del w, h  # before the other side's weights are made
    s = torch.where(s > 0, s, torch.inf)  # v vanishes: no difference, and no derivative
    return {name: (a - b) / (2 * s) for name, a, b in zip(psi, *sides, strict=True)}


def _leaves(weights: Weights) -> Weights:
    return weights.like(t.detach().requires_grad_() for t in weights.tensors())


def no_none(gradient: Iterable[Tensor | None], inputs: Iterable[Tensor]) -> list[Tensor]:
    """Gradients with zeros for the inputs that the loss does not contain."""
    return [torch.zeros_like(t) if g is None else g for g, t in zip(gradient, inputs, strict=True)]
