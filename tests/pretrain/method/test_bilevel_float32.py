"""The hypergradient in float32 on a real ResNet-18, with random and with trained weights.

Prints the error of every mode, and of the feature difference over a range of steps (run with ``-s`` to see it):
the choice of `pretrain.method.tangent.RELATIVE_STEP`.
"""

import numpy as np
import pytest
import torch

from pretrain.backbones import build_backbone
from pretrain.data.views import ViewSettings, make_view
from pretrain.method.bilevel import head_slopes, second_order, trial_gradient, upper_gradient
from pretrain.method.methods import METHODS, ObjectiveSettings
from pretrain.method.objective import Objective, per_view
from pretrain.method.tangent import RELATIVE_STEP, feature_tangent
from pretrain.method.trial_step import TrialStep, Weights, take
from tests.cases.bilevel_cases import as_problem, cosine, relative_error

SETTINGS = ObjectiveSettings(redundancy_widths=(128, 128), contrastive_widths=(128, 64))
N, SIZE, LR = 32, 64, 0.03


def make_photographs():
    """Six batches of two views (2, N, 3, SIZE, SIZE) of crops of scikit-learn's sample photographs, normalised."""
    from sklearn.datasets import load_sample_images

    images, rng = load_sample_images().images, np.random.default_rng(0)
    crops = ViewSettings(size=96, crop_min=0.02, crop_max=0.1, jitter=0, grey=0)

    def batch():
        objects = [make_view(images[k % 2], crops, rng) for k in range(N)]
        views = [[make_view(o, ViewSettings(size=SIZE, crop_min=0.2), rng) for o in objects] for _ in range(2)]
        pixels = torch.from_numpy(np.array(views)).permute(0, 1, 4, 2, 3).float() / 255
        return (pixels - 0.45) / 0.226

    return [batch() for _ in range(6)]


def networks(photographs, steps):
    """Backbone and objective of the joint method after some steps on L_meta + λ1 L_mcr."""
    torch.manual_seed(0)
    net = build_backbone("resnet18")
    objective = Objective(method=METHODS["metamask_compmod"], width=512, settings=SETTINGS)
    parameters = [*net.parameters(), *objective.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=LR, momentum=0.9, weight_decay=5e-4)
    for k in range(steps):
        optimizer.zero_grad()
        objective("trial", per_view(net, photographs[k % 5])).backward()
        optimizer.step()
    return net, objective


@pytest.fixture(scope="module")
def photographs():
    return make_photographs()


# Steps of training, and images of the batch, as the docstring of `pretrain.method.tangent` has them.
CASES = {"random": (0, N), "random, few images": (0, 8), "barely moved": (3, 8), "trained": (20, N)}


@pytest.fixture(scope="module", params=CASES)
def case(request, photographs):
    """(problem, weights, ψ, trial step) of the joint method."""
    steps, n = CASES[request.param]
    net, objective = networks(photographs, steps)
    weights = Weights(
        {k: p.detach() for k, p in net.named_parameters()},
        {k: p.detach() for k, p in objective.head_parameters().items()},
    )
    upper = {k: p.detach() for k, p in objective.upper_parameters().items()}
    problem = as_problem(net, objective, photographs[5][:, :n], None, "trial")
    return request.param, problem, weights, upper, TrialStep(LR, 0.0, 5e-4)


@pytest.fixture(scope="module")
def exact(case):
    """(v, the second-order part by double backward through the whole network for this v).

    v is shared by all modes: at random weights and a temperature of 0.07 its own float32 rounding is far larger than
    any error looked for here (0.6 relative to float64, for double backward as for forward mode).
    """
    _, problem, weights, upper, step = case
    trial = trial_gradient(problem, weights, upper)
    h, gradient = trial.h, trial.gradient
    v, _, _ = upper_gradient(problem, take(weights, gradient, step), upper)
    w = [t.clone().requires_grad_() for t in weights.tensors()]
    psi = {k: t.clone().requires_grad_() for k, t in upper.items()}
    named = weights.like(w)
    loss = problem.trial(problem.features(named.backbone), named.heads, psi)
    slope = torch.autograd.grad(loss, w, create_graph=True, allow_unused=True)  # L_tri has no redundancy head
    used = [(g, d) for g, d in zip(slope, v.tensors(), strict=True) if g is not None]
    mixed = torch.autograd.grad([g for g, _ in used], list(psi.values()), grad_outputs=[d for _, d in used])
    return h, v, {k: -step.lr * t for k, t in zip(psi, mixed, strict=True)}


def test_forward_mode_is_exact(case, exact):
    name, problem, weights, upper, step = case
    h, v, expected = exact
    found = second_order(problem, weights, upper, h, v, step.lr, "forward_mode")
    error = relative_error(found, expected)
    print(f"\n{name} weights, forward mode: relative error {error:.1e}")
    assert error < 3e-5  # 8.7e-6 on fresh weights and 8 images


def test_the_feature_difference_is_as_accurate_as_it_says(case, exact):
    """In `pretrain.method.tangent` and docs/method.md: 1e-2 on trained weights, about 0.1 before."""
    name, problem, weights, upper, step = case
    h, v, expected = exact
    found, release = (
        second_order(problem, weights, upper, h, v, step.lr, mode)
        for mode in ("feature_difference", "finite_difference")
    )
    print(
        f"\n{name} weights, relative error (cosine): feature difference {relative_error(found, expected):.1e} "
        f"({cosine(found, expected):.7f}), the release's gradient difference "
        f"{relative_error(release, expected):.2f} ({cosine(release, expected):.3f})"
    )
    if name == "trained":
        assert relative_error(found, expected) < 1e-2
        assert cosine(found, expected) > 0.9999
    assert relative_error(found, expected) < 0.15
    assert cosine(found, expected) > 0.99
    assert relative_error(found, expected) < relative_error(release, expected)


def test_the_chosen_step_is_in_the_flat_part(case, exact):
    """No step from 1e-7 to 1e-3 of ||w|| is much better than the chosen one."""
    name, problem, weights, upper, step = case
    h, v, expected = exact
    errors = {}
    for relative in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
        tangent = feature_tangent(problem.features, weights.backbone, v.backbone, h, relative)
        mixed = head_slopes(problem, h, weights.heads, upper)[0].along(tangent, v.heads)
        errors[relative] = relative_error({k: -step.lr * t for k, t in mixed.items()}, expected)
    print(f"\n{name} weights, error by relative step: " + "  ".join(f"{k:g}: {e:.1e}" for k, e in errors.items()))
    if name == "trained":
        assert errors[RELATIVE_STEP] < 5 * min(errors.values())
