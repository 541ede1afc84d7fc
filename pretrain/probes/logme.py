"""LogME: how likely labels are under a Bayesian linear model of features, at the best of its two precisions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_MOST_STEPS = 100
_CONVERGED = 1e-6  # relative change of α / β
_ROUNDING = 1e-12  # of a sum of squares: a residual below is 0, and the evidence would have no largest value
_TINY = 1e-300


def logme(features: Tensor, labels: Tensor, *, classes: int) -> float:
    """LogME of You et al. 2021 (ICML, arXiv 2102.11005): the mean over the classes of the largest log evidence / N.

    Each class is one target y in {0, 1}: ``y ~ N(F w, 1 / β)`` with the prior ``w ~ N(0, 1 / α)``. Their evidence
    p(y | F, α, β) has a closed form (`log_evidence`); α and β are those that make it largest, by MacKay's fixed
    point, with which the paper begins at α = β = 1. No iteration goes over the features: one eigenvalue
    decomposition of FᵀF serves all classes. Rotating the features or multiplying them by a number changes nothing.

    Args:
        features: F, (N, D), not centred.
        labels: classes 0 to C - 1, (N,); a class that nothing has is left out.
        classes: C.

    Returns:
        float: larger is better; per region, in nats.

    Raises:
        ValueError: shapes do not fit, or fewer than two classes are there.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"LogME: expected features (N, D) and labels (N,), found {tuple(features.shape)} and {tuple(labels.shape)}"
        )
    there = labels.bincount(minlength=classes).nonzero()[:, 0]
    if len(there) < 2:
        raise ValueError(f"LogME: expected labels of at least two classes, found {len(there)}")
    f = features.double()
    f = f / f.square().mean().sqrt().clamp_min(torch.finfo(f.dtype).tiny)  # α and β then start at one scale
    spectrum, vectors = torch.linalg.eigh(f.T @ f)
    spectrum = spectrum.clamp_min(0)  # zeros come out a little to either side
    targets = F.one_hot(labels, classes)[:, there].double()
    loads = (f @ vectors).T @ targets
    evidences = (_largest(c, spectrum, float(y.sum()), len(f)) for c, y in zip(loads.T, targets.T, strict=True))
    return sum(evidences) / len(there)


def _largest(loads: Tensor, spectrum: Tensor, square: float, n: int) -> float:
    """Largest log evidence / N of one target (the arguments are those of `log_evidence`)."""
    alpha = beta = 1.0
    for _ in range(_MOST_STEPS):
        gamma = float((beta * spectrum / (alpha + beta * spectrum)).sum())
        length, residual = _length_and_residual(loads, spectrum, square, alpha, beta)
        before = alpha / beta
        alpha, beta = gamma / max(length, _TINY), (n - gamma) / residual
        if abs(alpha / beta - before) <= _CONVERGED * before:
            break
    return log_evidence(loads, spectrum, square, n, alpha, beta) / n


def log_evidence(loads: Tensor, spectrum: Tensor, square: float, n: int, alpha: float, beta: float) -> float:
    """``log p(y | F, α, β)`` with ``A = α I + β FᵀF`` and ``m = β A⁻¹ Fᵀ y`` (equation 2 of the paper).

    N/2 log β + D/2 log α - N/2 log 2π - β/2 ‖F m - y‖² - α/2 ‖m‖² - 1/2 log |A|.

    Args:
        loads: Vᵀ Fᵀ y, (D,), of FᵀF = V diag(spectrum) Vᵀ.
        spectrum: (D,), >= 0.
        square: yᵀy.
        n: N.
        alpha, beta: precision of the prior and of the noise.
    """
    length, residual = _length_and_residual(loads, spectrum, square, alpha, beta)
    log_det = float((alpha + beta * spectrum).log().sum())
    logs = n * math.log(beta / (2 * math.pi)) + len(spectrum) * math.log(alpha)
    return 0.5 * (logs - beta * residual - alpha * length - log_det)


def _length_and_residual(
    loads: Tensor, spectrum: Tensor, square: float, alpha: float, beta: float
) -> tuple[float, float]:
    """‖m‖² and ‖F m - y‖²."""
    mean = beta * loads / (alpha + beta * spectrum)  # of w, in the basis V
    residual = square - 2 * float(mean @ loads) + float(spectrum @ mean.square())
    return float(mean.square().sum()), max(residual, _ROUNDING * square)
