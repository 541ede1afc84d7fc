"""The coding series against log-determinants, its two Gram forms against each other, and its limits."""

import pytest
import torch
import torch.nn.functional as F

from pretrain.method.coding import coding_loss, coding_matrix, top_singular_value


def rows(n, d, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def series_by_hand(a, b, distortion, order, scale=1.0):
    """CompMod eq. 6 and 7, with matrix powers and the n x n form, whatever the shape."""
    n = a.shape[0]
    lam = 1 / (n * distortion * scale)
    mu = 1 / (n * lam)
    x = lam * F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    return float(-mu * sum((-1) ** (k + 1) / k * torch.linalg.matrix_power(x, k).trace() for k in range(1, order + 1)))


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (7, 7)])
@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_both_gram_forms_are_the_papers_series(shape, order, scale):
    a, b = rows(*shape), rows(*shape, seed=1)
    for second in (a, b):
        expected = series_by_hand(a, second, 0.3, order, scale)
        assert float(coding_loss(a, second, 0.3, order, scale)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_mecs_own_factor_is_half_of_images_and_width(shape):
    """Liu et al. 2022: μ = (n + d) / 2, λ = d / (n ε²) = 1 / (n ε_d²); the first term of a self-coding is -μ / ε_d²."""
    a, b = rows(*shape), rows(*shape, seed=1)
    expected = 7.5 / 0.06 * series_by_hand(a, b, 0.06, 4)
    assert float(coding_loss(a, b, mu="mec")) == pytest.approx(expected, rel=1e-10)
    x = coding_matrix(a, a)
    assert float(coding_loss(a, a, order=2, mu="mec") - 7.5 * (x * x.T).sum() / 2) == pytest.approx(-7.5 / 0.06)
    with pytest.raises(ValueError, match="found 'other'"):
        coding_loss(a, b, mu="other")


@pytest.mark.parametrize("shape", [(32, 8), (8, 32)])
def test_the_series_converges_to_the_log_determinant(shape):
    z = rows(*shape)
    distortion = 0.5  # top eigenvalue below 1: the series converges
    gram = coding_matrix(z, z, distortion)
    assert float(top_singular_value(gram)) < 1
    _, logdet = torch.linalg.slogdet(torch.eye(len(gram)) + gram)
    errors = [abs(float(coding_loss(z, z, distortion, order) + distortion * logdet)) for order in (2, 4, 8, 16, 40)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6


def test_the_first_order_of_the_self_coding_is_constant():
    for seed in range(3):
        z = rows(10, 4, seed)
        # order 2 minus its quadratic term leaves the first order: -mu Tr(lambda Z Z^T) = -1
        x = coding_matrix(z, z, 0.06)
        assert float(coding_loss(z, z, 0.06, 2) - 0.06 * (x * x.T).sum() / 2) == pytest.approx(-1, rel=1e-12)


def test_even_orders_prefer_spread_and_odd_ones_would_not():
    spread, collapsed = torch.eye(8, dtype=torch.float64), torch.ones(8, 8, dtype=torch.float64)
    for order in (2, 4):
        assert coding_loss(spread, spread, 0.06, order) < coding_loss(collapsed, collapsed, 0.06, order)
    assert series_by_hand(collapsed, collapsed, 0.06, 3) < series_by_hand(spread, spread, 0.06, 3)


@pytest.mark.parametrize("order", [0, 1, 3, 5])
def test_odd_orders_are_refused(order):
    with pytest.raises(ValueError, match=f"even number >= 2, found {order}"):
        coding_loss(rows(4, 3), rows(4, 3), order=order)


def test_half_precision_embeddings_are_coded_in_float32():
    z = rows(16, 8).float()
    assert coding_loss(z.bfloat16(), z.bfloat16()).dtype == torch.float32


def test_top_singular_value_of_collapsed_rows_is_the_inverse_distortion():
    z = torch.ones(8, 8, dtype=torch.float64)
    assert float(top_singular_value(coding_matrix(z, z, 0.06))) == pytest.approx(1 / 0.06)


def test_shapes_and_ranges_are_checked():
    with pytest.raises(ValueError, match=r"found \(4, 3\) and \(5, 3\)"):
        coding_loss(rows(4, 3), rows(5, 3))
    with pytest.raises(ValueError, match="distortion"):
        coding_loss(rows(4, 3), rows(4, 3), distortion=0.0)
    with pytest.raises(ValueError, match="scale"):
        coding_loss(rows(4, 3), rows(4, 3), scale=0.5)


def collapsed(n, d, seed):
    """Rows that are nearly one and the same."""
    return rows(1, d, seed) + 0.1 * rows(n, d, seed + 1)


def test_below_the_limit_the_series_stays_as_it_is():
    a, b = rows(32, 64), rows(32, 64, seed=1)
    assert float(top_singular_value(coding_matrix(a, b, 0.5))) < 1
    assert coding_loss(a, b, 0.5, limit=1.0) == coding_loss(a, b, 0.5)


@pytest.mark.parametrize("limit", [1.0, 0.5])
def test_above_the_limit_the_regulariser_is_that_of_a_larger_scale(limit):
    a, b = collapsed(32, 16, 0), collapsed(32, 16, 0) + 0.1 * rows(32, 16, seed=5)
    top = float(top_singular_value(coding_matrix(a, b)))
    assert top > 10
    expected = coding_loss(a, b, scale=top / limit)
    assert float(coding_loss(a, b, limit=limit)) == pytest.approx(float(expected), rel=1e-9)


def test_without_a_limit_a_quarter_turn_of_collapsed_rows_is_endlessly_rewarded_and_with_it_not():
    """Eigenvalues r exp(±iπ/4) make the series' fourth term -r⁴/4."""
    turn = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64) / 2**0.5
    a = torch.eye(2, dtype=torch.float64).repeat(16, 1)
    losses = {limit: float(coding_loss(a, a @ turn, distortion=0.02, limit=limit)) for limit in (None, 1.0)}
    assert losses[None] < -1000
    assert -1.5 < losses[1.0] < 0


def test_the_limits_gradient_is_that_of_a_constant_scale():
    a = collapsed(8, 4, 0).requires_grad_()
    b = collapsed(8, 4, 3)
    top = float(top_singular_value(coding_matrix(a, b)))
    (found,) = torch.autograd.grad(coding_loss(a, b, limit=1.0), a)
    (expected,) = torch.autograd.grad(coding_loss(a, b, scale=top), a)
    assert torch.allclose(found, expected, rtol=1e-6)
