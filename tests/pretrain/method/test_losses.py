"""The losses against their formulas written out with loops, and against closed forms."""

import math

import pytest
import torch

from pretrain.method.losses import barlow_twins_loss, byol_loss, cross_correlation, nt_xent_loss


@pytest.fixture
def views():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(6, 5, dtype=torch.float64, generator=generator) for _ in range(2)]


def nt_xent_by_hand(a, b, t):
    """Chen et al. 2020, eq. 1, row by row; the two directions as MetaMask's release averages them."""
    a, b = [z / z.norm(dim=1, keepdim=True) for z in (a, b)]
    total = 0.0
    for x, y in ((a, b), (b, a)):
        for i in range(len(x)):
            positive = math.exp(float(x[i] @ y[i]) / t)
            others = sum(math.exp(float(x[i] @ y[k]) / t) for k in range(len(x)))
            same = sum(math.exp(float(x[i] @ x[k]) / t) for k in range(len(x)) if k != i)
            total += -math.log(positive / (others + same)) / (2 * len(x))
    return total


def barlow_by_hand(a, b, weight, correction, eps):
    n, d = a.shape
    columns = []
    for z in (a, b):
        mean = z.sum(0) / n
        variance = ((z - mean) ** 2).sum(0) / (n - correction)
        columns.append((z - mean) / (variance + eps) ** 0.5)
    total = 0.0
    for k in range(d):
        for j in range(d):
            c = float((columns[0][:, k] * columns[1][:, j]).sum()) / n
            total += (1 - c) ** 2 if k == j else weight * c**2
    return total


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_nt_xent_is_the_formula(views, temperature):
    assert float(nt_xent_loss(*views, temperature)) == pytest.approx(nt_xent_by_hand(*views, temperature), rel=1e-12)


def test_nt_xent_of_equal_rows_is_the_log_of_the_candidates():
    z = torch.ones(8, 3, dtype=torch.float64)
    assert float(nt_xent_loss(z, z)) == pytest.approx(math.log(2 * 8 - 1), rel=1e-12)


def test_nt_xent_ignores_the_length_of_embeddings(views):
    a, b = views
    assert float(nt_xent_loss(3 * a, 0.1 * b)) == pytest.approx(float(nt_xent_loss(a, b)), rel=1e-12)


@pytest.mark.parametrize(("unbiased", "eps"), [(False, 1e-5), (True, 0.0)])
def test_barlow_twins_is_the_formula(views, unbiased, eps):
    expected = barlow_by_hand(*views, 5e-3, int(unbiased), eps)
    assert float(barlow_twins_loss(*views, unbiased=unbiased, eps=eps)) == pytest.approx(expected, rel=1e-12)


def test_correlation_of_a_view_with_itself_has_a_diagonal_of_ones(views):
    correlation = cross_correlation(views[0], views[0], eps=0.0)
    assert torch.allclose(correlation.diagonal(), torch.ones(5, dtype=torch.float64), atol=1e-12)


def test_barlow_twins_ignores_shift_and_scale_of_each_dimension(views):
    a, b = views
    shifted = a * torch.arange(1, 6) + 7
    assert float(barlow_twins_loss(shifted, b, eps=0.0)) == pytest.approx(float(barlow_twins_loss(a, b, eps=0.0)))


def test_byol_is_the_squared_distance_of_unit_vectors(views):
    p, z = [v / v.norm(dim=1, keepdim=True) for v in views]
    assert float(byol_loss(*views)) == pytest.approx(float(((p - z) ** 2).sum(1).mean()), rel=1e-12)


def test_byol_sends_no_gradient_into_the_target(views):
    p, z = [v.requires_grad_() for v in views]
    byol_loss(p, z).backward()
    assert p.grad is not None
    assert z.grad is None


@pytest.mark.parametrize("loss", [nt_xent_loss, barlow_twins_loss, byol_loss])
@pytest.mark.parametrize("shapes", [((4, 3), (4, 2)), ((1, 3), (1, 3)), ((2, 4, 3), (2, 4, 3))])
def test_wrong_shapes_are_named(loss, shapes):
    with pytest.raises(ValueError, match=r"expected two tensors of one shape .* found \(") as error:
        loss(*(torch.zeros(s) for s in shapes))
    assert str(shapes[1]) in str(error.value)


def test_temperature_must_be_positive(views):
    with pytest.raises(ValueError, match="temperature"):
        nt_xent_loss(*views, 0.0)
