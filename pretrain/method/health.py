"""Numbers that show whether a representation is healthy. Pure functions of embeddings; no gradient."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.method.coding import coding_matrix, top_singular_value
from pretrain.method.losses import cross_correlation


@torch.no_grad()
def effective_rank(z: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values: (N, D) -> scalar in [1, min(N, D)].

    RankMe (Garrido et al. 2023) of the embeddings as they are, without centring; NaN where they are not finite.
    """
    if not _finite(z):
        return z.new_full((), math.nan, dtype=torch.float32)
    singular = torch.linalg.svdvals(z.float())
    p = singular / singular.sum().clamp_min(torch.finfo(singular.dtype).tiny)
    return torch.special.entr(p).sum().exp()


@torch.no_grad()
def embedding_std(z: Tensor) -> Tensor:
    """Mean over the dimensions of the std of L2-normalised rows: (N, D) -> scalar.

    0 when all rows are alike (collapse), about 1/sqrt(D) when they spread over the sphere (SimSiam, Chen & He 2021).
    """
    return F.normalize(z.float(), dim=1).std(dim=0).mean()


@torch.no_grad()
def mean_off_diagonal(correlation: Tensor) -> Tensor:
    """Mean |C_kl|, k != l, of a cross-correlation matrix (D, D) -> scalar in [0, 1]; 0 is free of redundancy."""
    d = correlation.shape[0]
    absolute = correlation.abs()
    return (absolute.sum() - absolute.diagonal().sum()) / (d * (d - 1))


@torch.no_grad()
def feature_summary(h: Tensor, z: Tensor) -> dict[str, Tensor]:
    """What shows collapse and redundancy in the features (2, N, D) and the embeddings (2, N, d) of two views."""
    return {
        "effective_rank": effective_rank(h[0]),
        "feature_std": embedding_std(h[0]),
        "redundancy_h": mean_off_diagonal(cross_correlation(h[0], h[1])),
        "effective_rank_z": effective_rank(z[0]),
    }


@torch.no_grad()
def mask_summary(weights: Tensor) -> dict[str, Tensor]:
    """Quantiles, entropy and saturation of a mask in (0, 1), (D,).

    ``mask_entropy`` is the mean binary entropy in nats, log 2 at M = 0.5; ``mask_saturated`` the share of dimensions
    below 0.05 or above 0.95.
    """
    quantiles = torch.quantile(weights.float(), torch.tensor([0.05, 0.5, 0.95], device=weights.device))
    inside = weights.clamp(0, 1)
    entropy = torch.special.entr(inside) + torch.special.entr(1 - inside)
    saturated = ((weights < 0.05) | (weights > 0.95)).float().mean()
    return {
        "mask_p05": quantiles[0],
        "mask_median": quantiles[1],
        "mask_p95": quantiles[2],
        "mask_entropy": entropy.mean(),
        "mask_saturated": saturated,
    }


@torch.no_grad()
def coding_summary(fused: Tensor, z: Tensor, distortion: float, scale: float) -> dict[str, Tensor]:
    """How close the series of CompMod's two losses are to where they stop converging, a top singular value of 1.

    Args:
        fused: Ẑ, (N, d).
        z: the two views' embeddings Z_t that L_mcr compares it with, (2, N, d).
        distortion: ε_d² of the coding matrix.
        scale: the current multiple of 1/λ, >= 1.

    Returns:
        dict: ``coding_top``, the top singular value (and eigenvalue) of λ Ẑ Ẑᵀ, in [1 / (ε_d² scale min(N, d)),
        1 / (ε_d² scale)], lowest when the rows of Ẑ are spread evenly; ``coding_top_mcr``, the larger one of the
        two λ Ẑ Z_tᵀ. Both NaN where an embedding is not finite.
    """
    if not (_finite(fused) and _finite(z)):
        return dict.fromkeys(("coding_top", "coding_top_mcr"), z.new_full((), math.nan, dtype=torch.float32))
    against = [top_singular_value(coding_matrix(fused, view, distortion, scale)) for view in z]
    return {
        "coding_top": top_singular_value(coding_matrix(fused, fused, distortion, scale)),
        "coding_top_mcr": torch.stack(against).max(),
    }


def _finite(z: Tensor) -> bool:
    """A singular value decomposition of anything else raises, before the loss is looked at and its cause named."""
    return bool(z.isfinite().all())
