import math

import pytest
import torch

from pretrain.method import health


def test_effective_rank_of_an_orthogonal_matrix_is_its_width():
    q, _ = torch.linalg.qr(torch.randn(32, 8))
    assert float(health.effective_rank(q)) == pytest.approx(8, rel=1e-5)


def test_effective_rank_of_equal_rows_is_one():
    assert float(health.effective_rank(torch.ones(16, 4))) == pytest.approx(1, abs=1e-3)


def test_embedding_std_tells_spread_from_collapse():
    torch.manual_seed(0)
    assert float(health.embedding_std(torch.randn(4096, 64))) == pytest.approx(1 / 8, rel=0.02)
    assert float(health.embedding_std(torch.ones(16, 64))) == 0


def test_mean_off_diagonal():
    assert float(health.mean_off_diagonal(torch.eye(5))) == 0
    assert float(health.mean_off_diagonal(-torch.ones(5, 5))) == 1


def test_mask_summary_of_a_neutral_and_of_a_saturated_mask():
    neutral = health.mask_summary(torch.full((10,), 0.5))
    assert float(neutral["mask_entropy"]) == pytest.approx(math.log(2))
    assert float(neutral["mask_saturated"]) == 0
    saturated = health.mask_summary(torch.tensor([0.0, 1.0, 0.5, 0.01]))
    assert float(saturated["mask_saturated"]) == pytest.approx(0.75)
    assert float(saturated["mask_entropy"]) < math.log(2) / 2


def test_coding_top_of_evenly_spread_and_of_collapsed_embeddings():
    """By hand: λ = 1 / (N ε_d² scale); N equal unit rows give N λ, an orthogonal frame of width d gives N λ / d."""
    n, d, distortion, scale = 32, 8, 0.3, 2.0
    q, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    spread = q.repeat(n // d, 1)
    equal = torch.ones(n, d, dtype=torch.float64)
    limit = 1 / (distortion * scale)
    found = health.coding_summary(spread, torch.stack([spread, equal]), distortion, scale)
    assert float(found["coding_top"]) == pytest.approx(limit / d)
    # Ẑ spread against Z collapsed: |Ẑᵀ 1| |z| with |Ẑᵀ 1| = N / d · |Σ_rows q| = N / sqrt(d)
    assert float(found["coding_top_mcr"]) == pytest.approx(limit / d**0.5)
    collapsed = health.coding_summary(equal, torch.stack([spread, spread]), distortion, scale)
    assert float(collapsed["coding_top"]) == pytest.approx(limit)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_diverged_embeddings_have_no_rank_instead_of_an_error(wrong):
    healthy, diverged = torch.ones(4, 3), torch.ones(4, 3)
    diverged[1, 2] = wrong
    assert health.effective_rank(diverged).isnan()
    for fused, z in ((healthy, diverged), (diverged, healthy)):
        found = health.coding_summary(fused, torch.stack([z, healthy]), 0.3, 1.0)
        assert all(value.isnan() for value in found.values())
