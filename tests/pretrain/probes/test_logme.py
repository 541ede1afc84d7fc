"""LogME against the evidence written out as the density of the labels, and against its largest value by search."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from pretrain.probes.logme import log_evidence, logme


def made(n=60, d=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, generator=generator) < 0.4).long()
    return torch.randn(n, d, generator=generator) + labels[:, None] * torch.linspace(0, 2, d), labels


def density(features, target, alpha, beta):
    """log p(y) of ``y = F w + noise`` with w and the noise normal: y is normal with FFᵀ / α + I / β."""
    covariance = features @ features.T / alpha + np.eye(len(features)) / beta
    return multivariate_normal(np.zeros(len(features)), covariance).logpdf(target)


@pytest.mark.parametrize(("n", "d"), [(60, 8), (10, 30)])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.01, 30.0), (200.0, 0.5)])
def test_the_evidence_is_the_density_of_the_labels(n, d, alpha, beta):
    features, labels = made(n, d)
    f, y = features.double(), labels.double()
    spectrum, vectors = torch.linalg.eigh(f.T @ f)
    value = log_evidence(vectors.T @ f.T @ y, spectrum.clamp_min(0), float(y @ y), n, alpha, beta)
    assert value == pytest.approx(density(f.numpy(), y.numpy(), alpha, beta), rel=1e-9)


def test_it_is_the_mean_of_each_classs_largest_evidence():
    features, labels = made()
    f = features.double().numpy()
    largest = []
    for label in (0, 1):
        target = (labels == label).double().numpy()
        search = minimize(
            lambda p, y=target: -density(f, y, *np.exp(p)), [0, 0], method="Nelder-Mead", options={"fatol": 1e-10}
        )
        largest.append(-search.fun / len(f))
    assert logme(features, labels, classes=2) == pytest.approx(np.mean(largest), abs=1e-6)


def test_rotating_and_scaling_the_features_changes_nothing():
    features, labels = made()
    rotation, _ = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))
    value = logme(features, labels, classes=2)
    assert logme(1000 * features @ rotation, labels, classes=2) == pytest.approx(value, abs=1e-4)


def test_features_of_the_class_are_worth_more_than_noise_and_a_perfect_fit_is_finite():
    features, labels = made(200, 4)
    noise = torch.randn(200, 4, generator=torch.Generator().manual_seed(2))
    exact = torch.nn.functional.one_hot(labels, 2).float()
    values = [logme(f, labels, classes=2) for f in (noise, features, exact)]
    assert values == sorted(values)
    assert values[2] > values[1] + 1
    assert math.isfinite(values[2])


def test_a_class_that_nothing_has_is_left_out():
    features, labels = made()
    assert logme(features, labels * 3, classes=5) == pytest.approx(logme(features, labels, classes=2))
    with pytest.raises(ValueError, match="at least two classes, found 1"):
        logme(features, labels * 0, classes=2)
    with pytest.raises(ValueError, match="expected features"):
        logme(features, labels[:-1], classes=2)
