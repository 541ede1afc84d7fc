"""The hypergradient in float32 on a real ResNet-18, with random and with trained weights.

Prints the error of every mode, and of the feature difference over a range of steps (run with ``-s`` to see it):
the choice of `pretrain.bilevel.RELATIVE_STEP`.
"""

import numpy as np
import pytest
import torch

from pretrain import bilevel
from pretrain.backbones import build_backbone
from pretrain.bilevel import TrialStep, Weights, feature_tangent, hypergradient, mixed_derivative, upper_gradient
from pretrain.objective import METHODS, Objective, ObjectiveSettings, per_view
from pretrain.views import ViewSettings, make_view
from tests.bilevel_cases import as_problem, cosine, relative_error, unrolled

SETTINGS = ObjectiveSettings(redundancy_widths=(128, 128), contrastive_widths=(128, 64))
N, SIZE, LR = 32, 32, 0.03


@pytest.fixture(scope="module")
def photographs():
    """Two views (2, N, 3, SIZE, SIZE) of crops of scikit-learn's sample photographs, normalised."""
    from sklearn.datasets import load_sample_images

    images, rng = load_sample_images().images, np.random.default_rng(0)
    crops = ViewSettings(size=64, crop_min=0.02, crop_max=0.1, jitter=0, grey=0)

    def batch():
        objects = [make_view(images[k % 2], crops, rng) for k in range(N)]
        views = [[make_view(o, ViewSettings(size=SIZE, crop_min=0.2), rng) for o in objects] for _ in range(2)]
        pixels = torch.from_numpy(np.array(views)).permute(0, 1, 4, 2, 3).float() / 255
        return (pixels - 0.45) / 0.226

    return [batch() for _ in range(8)]


@pytest.fixture(scope="module", params=["random", "trained"])
def case(request, photographs):
    """(problem, weights, ψ, trial step) of the joint method."""
    torch.manual_seed(0)
    net = build_backbone("resnet18")
    objective = Objective(method=METHODS["metamask_compmod"], width=512, settings=SETTINGS)
    parameters = [*net.parameters(), *objective.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=LR, momentum=0.9, weight_decay=5e-4)
    for k in range(60 if request.param == "trained" else 0):
        optimizer.zero_grad()
        objective("trial", per_view(net, photographs[k % 7])).backward()
        optimizer.step()
    upper_names = set(objective.upper_names())
    named = dict(objective.named_parameters())
    weights = Weights(
        {k: p.detach() for k, p in net.named_parameters()},
        {k: p.detach() for k, p in named.items() if k not in upper_names},
    )
    upper = {k: p.detach() for k, p in named.items() if k in upper_names}
    problem = as_problem(net, objective, photographs[7], None, "trial")
    return request.param, problem, weights, upper, TrialStep(LR, 0.0, 5e-4)


@pytest.fixture(scope="module")
def reference(case):
    """The second-order part by double backward through the whole unrolled step."""
    _, problem, weights, upper, step = case
    direct = hypergradient(problem, weights, upper, step, "first_order").direct
    return {k: t - direct[k] for k, t in unrolled(problem, weights, upper, step)[1].items()}


def test_forward_mode_is_exact(case, reference):
    name, problem, weights, upper, step = case
    found = hypergradient(problem, weights, upper, step, "forward_mode").second_order
    error = relative_error(found, reference)
    print(f"\n{name} weights, forward mode: relative error {error:.1e}")
    assert error < 1e-5


def test_the_feature_difference_is_accurate_on_trained_weights(case, reference):
    name, problem, weights, upper, step = case
    found = hypergradient(problem, weights, upper, step, "feature_difference").second_order
    release = hypergradient(problem, weights, upper, step, "finite_difference").second_order
    print(
        f"\n{name} weights, relative error (cosine): feature difference {relative_error(found, reference):.1e} "
        f"({cosine(found, reference):.7f}), the release's gradient difference "
        f"{relative_error(release, reference):.2f} ({cosine(release, reference):.3f})"
    )
    if name == "trained":
        assert relative_error(found, reference) < 1e-2
        assert cosine(found, reference) > 0.9999
    assert cosine(found, reference) > 0.99
    assert relative_error(found, reference) < relative_error(release, reference)


def test_the_chosen_step_is_in_the_flat_part(case, reference):
    """Ten times longer or shorter is no better than three times the chosen step's error would allow."""
    name, problem, weights, upper, step = case
    h, gradient, _ = bilevel.trial_gradient(problem, weights, upper)
    v, _, _ = upper_gradient(problem, bilevel.sgd_step(weights, gradient, step), upper)
    errors = {}
    for relative in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
        tangent = feature_tangent(problem, weights.backbone, v.backbone, h, relative)
        mixed = mixed_derivative(problem, h, tangent, weights.heads, v.heads, upper)
        errors[relative] = relative_error({k: -step.lr * t for k, t in mixed.items()}, reference)
    print(f"\n{name} weights, error by relative step: " + "  ".join(f"{k:g}: {e:.1e}" for k, e in errors.items()))
    if name == "trained":
        assert errors[bilevel.RELATIVE_STEP] < 3 * min(errors.values())
