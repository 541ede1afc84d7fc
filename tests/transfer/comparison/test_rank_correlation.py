"""Kendall's tau: against scipy, its interval's ends and how often it holds the truth."""

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from transfer.comparison.rank_correlation import LEAST, kendall


def test_tau_is_scipys_with_ties():
    first, second = [1.0, 2.0, 2.0, 4.0, 5.0, 6.0], [1.0, 3.0, 2.0, 2.0, 6.0, 5.0]
    tau = kendall(first, second)
    assert tau.tau == pytest.approx(kendalltau(first, second).statistic)
    assert tau.n == 6
    assert tau.interval[0] < tau.tau < tau.interval[1]


def test_without_ranks_there_is_nothing_to_correlate():
    assert kendall([1.0], [2.0]) is None
    assert kendall([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


def test_few_runs_have_no_interval():
    values = [float(i) for i in range(LEAST)]
    assert kendall(values[:-1], values[:-1]).interval is None
    assert kendall(values, values).interval[1] == 1.0
    assert kendall(values, values[::-1]).interval[0] == -1.0
    assert -1 < kendall(values, values).interval[0] < 1


@pytest.mark.parametrize("rho", [0.0, 0.6])
@pytest.mark.parametrize("n", [8, 12, 24])
def test_the_interval_covers_the_truth(n, rho):
    rng, true, covered, trials = np.random.default_rng(0), 2 / math.pi * math.asin(rho), 0, 400
    for _ in range(trials):
        first = rng.normal(size=n)
        second = rho * first + math.sqrt(1 - rho**2) * rng.normal(size=n)
        low, high = kendall(first.tolist(), second.tolist()).interval
        covered += low <= true <= high
    assert covered / trials > 0.93
