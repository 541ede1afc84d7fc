"""Small bilevel problems with everything in them that has gone wrong before, and the unrolled reference."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pretrain.method.bilevel import Problem
from pretrain.method.methods import METHODS, ObjectiveSettings, resolve_method
from pretrain.method.objective import Objective
from pretrain.method.trial_step import TrialStep, Weights

SMALL = ObjectiveSettings(
    redundancy_widths=(12, 12),
    contrastive_widths=(12, 10),
    bootstrap_widths=(12, 10),
    dense_widths=(12, 10),
    predictor_width=12,
    temperature=0.3,
    mcr_weight=0.5,
    comp_weight=0.3,
    coding_limit=None,  # a constant within a step, which finite differences of U would move
)


def small_network(activation: Callable[[], nn.Module] = nn.ReLU, *, maps: bool = False) -> nn.Module:
    """Images (N, 3, 17, 17) -> features (N, 8), or maps (N, 8, 3, 3), with stock batch norm."""
    pooling = () if maps else (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, bias=False),
        nn.BatchNorm2d(6),
        activation(),
        nn.Conv2d(6, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        activation(),
        *pooling,
    )


def make_case(name: str, *, trial: str = "trial", smooth: bool = False, settings: ObjectiveSettings = SMALL):
    """(problem, weights, ψ, trial step) of a method in float64, with random mask, scales, buffers and targets."""
    torch.manual_seed(1)
    activation = nn.Tanh if smooth else nn.ReLU
    net = small_network(activation, maps=METHODS[name].dense > 0)
    objective = Objective(method=resolve_method(name, settings), width=8, settings=settings)
    if smooth:
        for head in objective.children():
            _replace_relu(head)
    net, objective = net.double(), objective.double()
    with torch.no_grad():
        for p in [*net.parameters(), *objective.parameters()]:
            p.add_(0.1 * torch.randn_like(p))
        if METHODS[name].mask:
            objective.mask.logits.normal_()
    objective.balance.update({name: torch.rand(()) + 0.2 for name in objective.balance.norms})
    views, targets = torch.randn(2, 9, 3, 17, 17).double(), torch.randn(2, 9, 10).double()
    weights = Weights(
        {k: p.detach() for k, p in net.named_parameters()},
        {k: p.detach() for k, p in objective.head_parameters().items()},
    )
    upper = {k: p.detach() for k, p in objective.upper_parameters().items()}
    problem = as_problem(net, objective, views, targets, trial)
    step = TrialStep(0.05, 0.9, 1e-3, [torch.randn_like(t) for t in weights.tensors()])
    return problem, weights, upper, step


def as_problem(
    net: nn.Module,
    objective: Objective,
    views: Tensor,
    targets: Tensor | None,
    trial: str,
    scale: float = 1.0,
    fixed: Tensor | None = None,
) -> Problem:
    """The problem by `functional_call`, written here independently of `pretrain.algorithm.upper`.

    L_comp reads ``fixed``, by default the features of ``net`` as it is.
    """

    def call(module, parameters, *inputs):
        return functional_call(module, {**parameters, **{k: b.clone() for k, b in module.named_buffers()}}, inputs)

    with torch.no_grad():
        at = {k: p.detach() for k, p in net.named_parameters()}
        h = torch.stack([call(net, at, v) for v in views])
        if fixed is None and objective.method.comp:
            fixed = objective.comp_input(h, objective.losses_and_embeddings(h, targets)[1])
    return Problem(
        features=lambda w: torch.stack([call(net, w, v) for v in views]),
        trial=lambda h, heads, psi: call(objective, {**heads, **psi}, trial, h, targets, fixed, scale),
        upper=lambda h, heads, psi: call(objective, {**heads, **psi}, "upper", h, targets, fixed, scale),
    )


def unrolled(problem: Problem, weights: Weights, upper: dict[str, Tensor], step: TrialStep) -> tuple[Tensor, dict]:
    """U as a differentiable function of ψ through the whole trial step, and dU/dψ by double backward."""
    psi = {k: t.clone().requires_grad_() for k, t in upper.items()}
    value = upper_value(problem, weights, psi, step, create_graph=True)
    gradient = torch.autograd.grad(value, list(psi.values()), allow_unused=True)
    return value.detach(), {
        k: torch.zeros_like(t) if g is None else g for (k, t), g in zip(psi.items(), gradient, strict=True)
    }


def upper_value(problem, weights, psi, step, create_graph=False):
    """U(ψ) = L_up(w⁺(ψ); ψ), docs/method.md section 3, with plain tensor arithmetic."""
    w = [t.clone().requires_grad_() for t in weights.tensors()]
    named = weights.like(w)
    loss = problem.trial(problem.features(named.backbone), named.heads, psi)
    gradient = torch.autograd.grad(loss, w, create_graph=create_graph, allow_unused=True)
    factor = 1.0
    if step.clip is not None:
        squares = [g.square().sum() for g in gradient if g is not None]
        factor = (step.clip / (torch.stack(squares).sum().sqrt() + 1e-6)).clamp_max(1.0)
    after = []
    for k, (t, g) in enumerate(zip(w, gradient, strict=True)):
        g = torch.zeros_like(t) if g is None else g
        if step.preconditioner is not None:
            g = step.preconditioner[k] * g
        momentum = step.momentum * step.buffers[k] if step.buffers is not None else 0
        decay = step.weight_decay if isinstance(step.weight_decay, float) else step.weight_decay[k]
        after.append(t - step.lr * (momentum + factor * g + decay * t))
    ahead = weights.like(after)
    return problem.upper(problem.features(ahead.backbone), ahead.heads, psi)


def relative_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """||found - expected|| / ||expected|| over all tensors together."""
    a, b = (torch.cat([t.flatten() for t in d.values()]) for d in (found, expected))
    return float((a - b).norm() / b.norm())


def cosine(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Cosine over all tensors together."""
    a, b = (torch.cat([t.flatten() for t in d.values()]) for d in (found, expected))
    return float(a @ b / (a.norm() * b.norm()))


def _replace_relu(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, nn.Tanh())
        _replace_relu(child)
