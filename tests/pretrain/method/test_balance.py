"""The running means against their formula, and what must not spoil them."""

import math

import pytest
import torch

from pretrain.method.balance import DECAY, Balance, RunningMean, gradient_norms


def test_the_mean_is_the_weighted_one_of_all_numbers_so_far():
    mean, numbers = RunningMean().double(), [3.0, 1.0, 7.0, 2.0]
    for count in range(1, len(numbers) + 1):
        mean.update(torch.tensor(numbers[count - 1]))
        weights = [DECAY ** (count - 1 - k) for k in range(count)]
        expected = sum(w * x for w, x in zip(weights, numbers, strict=False)) / sum(weights)
        assert float(mean.value()) == pytest.approx(expected, rel=1e-12)
        assert float(mean.last) == numbers[count - 1]


@pytest.mark.parametrize("bad", [0.0, math.inf, math.nan])
def test_zeros_and_what_is_not_finite_leave_the_mean_alone(bad):
    mean = RunningMean()
    mean.update(torch.tensor(bad))
    assert float(mean.value()) == 1
    mean.update(torch.tensor(5.0))
    mean.update(torch.tensor(bad))
    assert float(mean.value()) == pytest.approx(5)


def test_a_term_without_gradient_is_no_division_by_zero():
    balance = Balance(["a", "b"], "gradient")
    h = torch.randn(4, 3, requires_grad=True)
    balance.update(gradient_norms({"a": h.square().sum(), "b": 0 * h.sum()}, h))
    coefficients = balance.coefficients({"a": 1.0, "b": 1.0})
    assert float(coefficients["b"]) == 0.5
    assert {k: float(v) for k, v in balance.shares({"a": 1.0, "b": 1.0}).items()} == pytest.approx({"a": 1, "b": 0})


def test_the_plain_sum_is_left_as_it_is_and_its_shares_are_measured():
    balance = Balance(["a", "b"], "none")
    balance.update({"a": torch.tensor(8.0), "b": torch.tensor(0.2)})
    assert balance.coefficients({"a": 1.0, "b": 10.0}) == {"a": 1.0, "b": 10.0}
    shares = {k: float(v) for k, v in balance.shares({"a": 1.0, "b": 10.0}).items()}
    assert shares == pytest.approx({"a": 0.8, "b": 0.2})


def test_a_left_out_iteration_leaves_nothing_behind():
    balance = Balance(["a"], "gradient")
    balance.update({"a": torch.tensor(2.0)})
    before = balance.copied()
    balance.update({"a": torch.tensor(9.0)})
    balance.restore(before)
    assert float(balance.scale("a")) == pytest.approx(2)
