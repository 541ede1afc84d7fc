"""The hypergradient in float64 against double backward, finite differences of U and a closed form."""

from dataclasses import replace

import pytest
import torch

from pretrain.method.bilevel import MODES, Problem, hypergradient, trial_gradient
from pretrain.method.methods import METHODS
from pretrain.method.trial_step import TrialStep, Weights
from tests.cases.bilevel_cases import SMALL, make_case, relative_error, unrolled, upper_value

BILEVEL = [name for name, row in METHODS.items() if row.base]


@pytest.mark.parametrize("name", BILEVEL)
@pytest.mark.parametrize("trial", ["trial", "lower"])
def test_forward_mode_is_the_unrolled_gradient(name, trial):
    problem, weights, upper, step = make_case(name, trial=trial)
    found = hypergradient(problem, weights, upper, step, "forward_mode")
    value, expected = unrolled(problem, weights, upper, step)
    assert float(found.upper_loss) == pytest.approx(float(value), rel=1e-12)
    for variable in ("mask.", "fusion."):
        part = {k: t for k, t in expected.items() if k.startswith(variable)}
        if part:
            assert relative_error({k: found.total()[k] for k in part}, part) < 1e-8
            second = {k: t - found.direct[k] for k, t in part.items()}
            assert relative_error({k: found.second_order[k] for k in part}, second) < 1e-8


@pytest.mark.parametrize("name", ["simclr_compmod", "byol_compmod", "metamask_compmod"])
@pytest.mark.parametrize(
    "changes", [{"comp_fusion": "concat_z"}, {"comp_fusion": "mixup_h", "comp_mix": 0.3}, {"coding_mu": "mec"}]
)
def test_other_fusions_and_mecs_constants_are_differentiated_as_exactly(name, changes):
    problem, weights, upper, step = make_case(name, trial="lower", settings=replace(SMALL, **changes))
    found = hypergradient(problem, weights, upper, step, "forward_mode")
    _, expected = unrolled(problem, weights, upper, step)
    assert relative_error(found.total(), expected) < 1e-8
    assert any(found.second_order[k].any() for k in upper if k.startswith("fusion."))


@pytest.mark.parametrize("name", BILEVEL)
def test_the_feature_difference_agrees_with_forward_mode_on_a_smooth_network(name):
    problem, weights, upper, step = make_case(name, smooth=True)
    exact = hypergradient(problem, weights, upper, step, "forward_mode").second_order
    found = hypergradient(problem, weights, upper, step, "feature_difference").second_order
    assert relative_error(found, exact) < 1e-4


@pytest.mark.parametrize("name", BILEVEL)
def test_the_hypergradient_is_the_slope_of_u(name):
    """Central differences of U itself along random directions of ψ, with tanh instead of ReLU."""
    problem, weights, upper, step = make_case(name, smooth=True)
    gradient = hypergradient(problem, weights, upper, step, "forward_mode").total()
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        along = {k: torch.randn(t.shape, dtype=t.dtype, generator=generator) for k, t in upper.items()}
        sides = [
            float(upper_value(problem, weights, {k: t + s * along[k] for k, t in upper.items()}, step).detach())
            for s in (1e-5, -1e-5)
        ]
        slope = sum(float((gradient[k] * along[k]).sum()) for k in upper)
        assert slope == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("share", [0.3, 3.0])
@pytest.mark.parametrize("name", ["metamask", "barlow_compmod"])
def test_a_clipped_trial_step_is_differentiated_through_its_clipping(name, share):
    problem, weights, upper, step = make_case(name)
    gradient = trial_gradient(problem, weights, upper).gradient
    norm = float(torch.cat([g.flatten() for g in gradient]).norm())
    step = replace(step, clip=share * norm)
    found = hypergradient(problem, weights, upper, step, "forward_mode")
    value, expected = unrolled(problem, weights, upper, step)
    assert float(found.upper_loss) == pytest.approx(float(value), rel=1e-12)
    assert relative_error(found.total(), expected) < 1e-8
    unclipped = hypergradient(problem, weights, upper, replace(step, clip=None), "forward_mode")
    assert (relative_error(found.second_order, unclipped.second_order) > 0.1) is (share < 1)


@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("name", BILEVEL)
def test_a_preconditioned_trial_step_is_differentiated_through_its_preconditioner(name, clip):
    """As AdamW and LARS take it: a factor for each weight, or one for each tensor, and decays of their own."""
    problem, weights, upper, step = make_case(name, trial="lower")
    if clip is not None:
        clip *= float(torch.cat([g.flatten() for g in trial_gradient(problem, weights, upper).gradient]).norm())
    factors = [torch.rand_like(t) + 0.1 if k % 3 else torch.rand(()).double() for k, t in enumerate(weights.tensors())]
    decays = [0.01 * (k % 2) for k in range(len(factors))]
    step = replace(step, preconditioner=factors, weight_decay=decays, clip=clip)
    found = hypergradient(problem, weights, upper, step, "forward_mode")
    value, expected = unrolled(problem, weights, upper, step)
    assert float(found.upper_loss) == pytest.approx(float(value), rel=1e-12)
    assert relative_error(found.total(), expected) < 1e-8
    plain = hypergradient(problem, weights, upper, replace(step, preconditioner=None), "forward_mode")
    assert relative_error(found.second_order, plain.second_order) > 0.1


def scalar_problem():
    """L_tri = 1/2 p (h a)², U = 1/2 (h a - c)² + 1/2 k p², h = w: everything by hand."""
    c, k = 0.7, 0.3
    problem = Problem(
        features=lambda w: w["w"].reshape(1),
        trial=lambda h, heads, psi: 0.5 * (psi["p"] * (h * heads["a"]) ** 2).sum(),
        upper=lambda h, heads, psi: 0.5 * ((h * heads["a"] - c) ** 2).sum() + 0.5 * k * (psi["p"] ** 2).sum(),
    )
    one = lambda x: torch.tensor([x], dtype=torch.float64)  # noqa: E731
    return problem, Weights({"w": one(1.5)}, {"a": one(-0.8)}), {"p": one(0.4)}, c, k


def test_a_scalar_problem_in_closed_form():
    problem, weights, upper, c, k = scalar_problem()
    w, a, p, lr = 1.5, -0.8, 0.4, 0.1
    w1, a1 = w - lr * p * w * a * a, a - lr * p * w * w * a
    residual = w1 * a1 - c
    direct = k * p
    second = residual * (a1 * (-lr * w * a * a) + w1 * (-lr * w * w * a))
    found = hypergradient(problem, weights, upper, TrialStep(lr), "forward_mode")
    assert float(found.upper_loss) == pytest.approx(0.5 * residual**2 + 0.5 * k * p * p, rel=1e-12)
    assert float(found.direct["p"]) == pytest.approx(direct, rel=1e-12)
    assert float(found.second_order["p"]) == pytest.approx(second, rel=1e-12)
    for mode in ("feature_difference", "finite_difference"):
        other = hypergradient(problem, weights, upper, TrialStep(lr), mode)
        assert float(other.second_order["p"]) == pytest.approx(second, rel=1e-3)


def test_first_order_leaves_the_second_part_out():
    problem, weights, upper, step = make_case("metamask")
    found = hypergradient(problem, weights, upper, step, "first_order")
    assert all(not t.any() for t in found.second_order.values())
    assert found.direct["mask.logits"].any()


def test_compmods_network_gets_no_direct_gradient_from_the_base_loss():
    """U contains ξ only in λ2 L_comp; with λ2 = 0 everything comes through w⁺ (docs/method.md, section 2)."""
    problem, weights, upper, step = make_case("simclr_compmod", settings=replace(SMALL, comp_weight=0.0))
    found = hypergradient(problem, weights, upper, step, "forward_mode")
    assert all(not t.any() for t in found.direct.values())
    assert any(t.any() for t in found.second_order.values())


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_modified(mode):
    problem, weights, upper, step = make_case("metamask_compmod")
    everything = [*weights.tensors(), *upper.values(), *step.buffers]
    before = [t.clone() for t in everything]
    random_state = torch.get_rng_state()
    hypergradient(problem, weights, upper, step, mode)
    assert all(torch.equal(a, b) for a, b in zip(before, everything, strict=True))
    assert torch.equal(random_state, torch.get_rng_state())


def test_a_vanishing_direction_gives_a_vanishing_second_part():
    problem, weights, upper, _, _ = scalar_problem()
    flat = Problem(problem.features, problem.trial, lambda h, heads, psi: 0 * (h * heads["a"]).sum() + psi["p"].sum())
    for mode in MODES:
        found = hypergradient(flat, weights, upper, TrialStep(0.1), mode)
        assert float(found.second_order["p"]) == 0
        assert float(found.direct["p"]) == 1


def test_an_unknown_mode_is_named():
    problem, weights, upper, step = make_case("metamask")
    with pytest.raises(ValueError, match="found 'neumann'"):
        hypergradient(problem, weights, upper, step, "neumann")
    with pytest.raises(ValueError, match="at least one upper variable"):
        hypergradient(problem, weights, {}, step)
