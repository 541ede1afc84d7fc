"""The derivative of the features along a direction: exact, as a quotient, and how long the quotient's step is."""

import pytest
import torch
import torch.nn.functional as F

from pretrain.method.tangent import RELATIVE_STEP, feature_tangent, norm_of, step_length


@pytest.fixture
def case():
    """(features, weights, direction, ḣ by hand) of ``tanh(x W) c``."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    x, w, v = normal(5, 3), {"W": normal(3, 4), "c": normal(4)}, {"W": normal(3, 4), "c": normal(4)}
    y = torch.tanh(x @ w["W"])
    by_hand = (1 - y**2) * (x @ v["W"]) * w["c"] + y * v["c"]
    return lambda weights: torch.tanh(x @ weights["W"]) * weights["c"], w, v, by_hand


def test_without_features_to_start_from_it_is_exact(case):
    features, w, v, by_hand = case
    assert torch.allclose(feature_tangent(features, w, v, None), by_hand, rtol=1e-12)


def test_a_quotient_is_right_to_the_first_order_of_its_step(case):
    features, w, v, by_hand = case
    errors = []
    for relative in (1e-3, 1e-4, 1e-5):
        found = feature_tangent(features, w, v, features(w), relative)
        errors.append(float((found - by_hand).norm() / by_hand.norm()))
    assert errors[0] < 1e-2
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.1)


def test_the_step_moves_the_weights_by_a_share_of_their_own_length(case):
    features, w, v, _ = case
    for factor in (1.0, 1e6):
        direction = {k: factor * t for k, t in v.items()}
        s = step_length(w.values(), direction.values(), RELATIVE_STEP)
        moved = float(norm_of([s * t for t in direction.values()]))
        assert moved == pytest.approx(RELATIVE_STEP * float(norm_of(list(w.values()))), rel=1e-12)
    short, long = (feature_tangent(features, w, {k: f * t for k, t in v.items()}, features(w)) for f in (1.0, 1e6))
    assert torch.allclose(long / 1e6, short, rtol=1e-9)


def test_along_nothing_the_features_do_not_move(case):
    features, w, v, _ = case
    nothing = {k: torch.zeros_like(t) for k, t in v.items()}
    assert step_length(w.values(), nothing.values(), RELATIVE_STEP) == 0
    for h in (features(w), None):
        assert not feature_tangent(features, w, nothing, h).any()


def test_nothing_is_modified_and_nothing_keeps_a_graph(case):
    features, w, v, _ = case
    w = {k: t.requires_grad_() for k, t in w.items()}
    h, before = features(w).detach(), {k: t.detach().clone() for k, t in w.items()}
    start = h.clone()
    for given in (h, None):
        assert not feature_tangent(features, w, v, given).requires_grad
    assert torch.equal(h, start)
    assert all(torch.equal(before[k], t) for k, t in w.items())


def test_features_that_do_not_depend_on_the_weights_are_an_error(case):
    _, w, v, _ = case
    with pytest.raises(ValueError, match="do not depend"):
        feature_tangent(lambda _: F.one_hot(torch.arange(3)).double(), w, v, None)
