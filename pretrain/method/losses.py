"""The self-supervised losses: embeddings of two views in, one scalar out. No state, no distributed code."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent_loss(a: Tensor, b: Tensor, temperature: float = 0.07) -> Tensor:
    """Normalised temperature-scaled cross entropy (SimCLR, Chen et al. 2020) over both directions.

    ``1/2 [ CE([a bᵀ | a aᵀ - inf I] / t, i) + CE([b aᵀ | b bᵀ - inf I] / t, i) ]`` on L2-normalised rows: each row
    has one positive, its other view, and 2N - 2 negatives.

    Args:
        a: embeddings of view 1, (N, D), N >= 2.
        b: embeddings of view 2, (N, D); row i shows the same image as row i of ``a``.
        temperature: > 0; 0.07 in MetaMask's release, 0.5 or 0.1 in SimCLR.

    Returns:
        Scalar, mean over the 2N rows; log(2N - 1) when all rows are alike.

    Raises:
        ValueError: the shapes differ, N < 2 or the temperature is not positive.
    """
    _check_pair(a, b)
    if temperature <= 0:
        raise ValueError(f"temperature: expected a number above 0, found {temperature}")
    n = a.shape[0]
    z = torch.cat([F.normalize(a, dim=1), F.normalize(b, dim=1)])
    similarity = z @ z.T / temperature
    itself = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    positive = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(similarity.masked_fill(itself, float("-inf")), positive)


def barlow_twins_loss(
    a: Tensor, b: Tensor, off_diagonal_weight: float = 5e-3, unbiased: bool = False, eps: float = 1e-5
) -> Tensor:
    """Redundancy reduction (Barlow Twins, Zbontar et al. 2021): ``Σ_k (1 - C_kk)² + λ Σ_{k≠l} C_kl²``.

    C is the cross-correlation of the two views' embeddings over the batch, (D, D). The loss is a sum: at the start
    of training it is of the order of D.

    Args:
        a: embeddings of view 1, (N, D), N >= 2.
        b: embeddings of view 2, (N, D).
        off_diagonal_weight: λ; 5e-3 in the paper and in MetaMask.
        unbiased: standardise with the N - 1 variance (MetaMask's release) instead of the N one (Barlow Twins).
        eps: added to the variance; 1e-5 in Barlow Twins' batch normalisation, 0 in MetaMask's release.

    Raises:
        ValueError: the shapes differ or N < 2.
    """
    _check_pair(a, b)
    n, d = a.shape
    a, b = _standardise(a, unbiased, eps), _standardise(b, unbiased, eps)
    diagonal = (a * b).sum(dim=0) / n
    # ||C||² = ||aᵀb||² / n² = <aaᵀ, bbᵀ> / n²: the smaller of the D x D and the N x N products gives the same number.
    squares = (a.T @ b).square().sum() if d <= n else ((a @ a.T) * (b @ b.T)).sum()
    off_diagonal = squares / n**2 - diagonal.square().sum()
    return (1 - diagonal).square().sum() + off_diagonal_weight * off_diagonal


def cross_correlation(a: Tensor, b: Tensor, unbiased: bool = False, eps: float = 1e-5) -> Tensor:
    """Cross-correlation of two views' embeddings: (N, D), (N, D) -> (D, D), entries about [-1, 1]."""
    _check_pair(a, b)
    return _standardise(a, unbiased, eps).T @ _standardise(b, unbiased, eps) / a.shape[0]


def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Bootstrap loss (BYOL, Grill et al. 2020, eq. 2): ``2 - 2 cos(prediction, target)``, row mean, in [0, 4].

    Args:
        prediction: the online predictor's output for one view, (N, D).
        target: the target projector's output for the other view, (N, D); a constant, no gradient flows into it.

    Raises:
        ValueError: the shapes differ or N < 2 (the heads' batch norm needs two rows).
    """
    _check_pair(prediction, target)
    return 2 - 2 * F.cosine_similarity(prediction, target.detach(), dim=1).mean()


def _standardise(z: Tensor, unbiased: bool, eps: float) -> Tensor:
    variance, mean = torch.var_mean(z, dim=0, correction=int(unbiased))
    return (z - mean) / (variance + eps).sqrt()


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or a.shape != b.shape or a.shape[0] < 2:
        raise ValueError(
            f"embeddings of two views: expected two tensors of one shape (N >= 2, D), found {tuple(a.shape)} and "
            f"{tuple(b.shape)}"
        )
