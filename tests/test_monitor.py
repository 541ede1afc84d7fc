import math

import pytest
import torch

from pretrain import monitor


def test_effective_rank_of_an_orthogonal_matrix_is_its_width():
    q, _ = torch.linalg.qr(torch.randn(32, 8))
    assert float(monitor.effective_rank(q)) == pytest.approx(8, rel=1e-5)


def test_effective_rank_of_equal_rows_is_one():
    assert float(monitor.effective_rank(torch.ones(16, 4))) == pytest.approx(1, abs=1e-3)


def test_embedding_std_tells_spread_from_collapse():
    torch.manual_seed(0)
    assert float(monitor.embedding_std(torch.randn(4096, 64))) == pytest.approx(1 / 8, rel=0.02)
    assert float(monitor.embedding_std(torch.ones(16, 64))) == 0


def test_mean_off_diagonal():
    assert float(monitor.mean_off_diagonal(torch.eye(5))) == 0
    assert float(monitor.mean_off_diagonal(-torch.ones(5, 5))) == 1


def test_mask_summary_of_a_neutral_and_of_a_saturated_mask():
    neutral = monitor.mask_summary(torch.full((10,), 0.5))
    assert float(neutral["mask_entropy"]) == pytest.approx(math.log(2))
    assert float(neutral["mask_saturated"]) == 0
    saturated = monitor.mask_summary(torch.tensor([0.0, 1.0, 0.5, 0.01]))
    assert float(saturated["mask_saturated"]) == pytest.approx(0.75)
    assert float(saturated["mask_entropy"]) < math.log(2) / 2
