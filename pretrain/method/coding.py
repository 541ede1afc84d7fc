"""Maximum entropy coding: the truncated log-determinant series behind CompMod's two losses.

Sources: MEC (Liu et al., NeurIPS 2022, arXiv 2210.11464) for the series and its constants; CompMod (Guo et al.,
AAAI 2024, arXiv 2403.01549, eq. 6 and 7) for its use. CompMod publishes neither ε_d², order nor μ; the defaults
follow MEC's code where it has one and ``docs/method.md`` says why for the rest.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MU = ("distortion", "mec")  # what the series is multiplied by
_POWER_STEPS = 8  # of the power iteration that estimates a top singular value


def coding_loss(
    a: Tensor,
    b: Tensor,
    distortion: float = 0.06,
    order: int = 4,
    scale: float = 1.0,
    limit: float | None = None,
    mu: str = "distortion",
) -> Tensor:
    """Negative coding length of ``a`` against ``b``: ``-μ Tr Σ_{k=1..K} (-1)^(k+1)/k (λ a bᵀ)^k``.

    The series of ``-μ log det(I + λ a bᵀ)``. Rows are L2-normalised first; λ = 1 / (N ε_d² scale), μ = 1 / (N λ).
    ``coding_loss(z, z)`` is CompMod's L_comp; ``coding_loss(ẑ, z1) + coding_loss(ẑ, z2)`` is its L_mcr.
    Always computed in float32 or wider: the series cancels.

    Args:
        a: embeddings, (N, D).
        b: embeddings, (N, D).
        distortion: ε_d² > 0; 0.06 in MEC. Small values make the truncated series explode on collapsed embeddings.
        order: K, even: an odd order rewards one dominant direction instead of spread.
        scale: >= 1, multiplies 1/λ; MEC warms it up from 8 to 1.
        limit: largest singular value of λ a bᵀ; above it 1/λ is raised for this batch until it is met, and counts as a
            constant. Beyond 1 the truncated series is no log-determinant any more, and that of two different
            embeddings has no lower bound: turning one against the other makes its highest term as negative as the
            embeddings are collapsed. None leaves the series bare.

        mu: "distortion" for μ = 1 / (N λ), which follows λ, or "mec" for MEC's (N + D) / 2.

    Returns:
        Scalar; the first term of ``coding_loss(z, z)`` is the constant -μ N λ, -1 with "distortion". The series
        converges while `top_singular_value` of `coding_matrix` is below 1.

    Raises:
        ValueError: shapes differ, the order is odd or below 2, distortion or scale out of range, or another ``mu``.
    """
    gram = coding_matrix(a, b, distortion, scale)
    if order < 2 or order % 2:
        raise ValueError(f"order of the coding series: expected an even number >= 2, found {order}")
    if mu not in MU:
        raise ValueError(f"mu of the coding series: expected one of {', '.join(MU)}, found {mu!r}")
    excess = 1.0 if limit is None else (_estimated_top(gram) / limit).clamp_min(1.0)
    factor = sum(a.shape) / 2 if mu == "mec" else distortion * scale * excess
    return -factor * _trace_of_log_series(gram if limit is None else gram / excess, order)


def coding_matrix(a: Tensor, b: Tensor, distortion: float = 0.06, scale: float = 1.0) -> Tensor:
    """``λ a bᵀ`` (N, N) or ``λ bᵀ a`` (D, D), whichever is smaller: their powers have the same traces."""
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(
            f"coding: expected two tensors of one shape (N, D), found {tuple(a.shape)} and {tuple(b.shape)}"
        )
    if distortion <= 0 or scale < 1:
        raise ValueError(f"coding: expected distortion > 0 and scale >= 1, found {distortion} and {scale}")
    n, d = a.shape
    wide = torch.promote_types(a.dtype, torch.float32)
    a, b = F.normalize(a.to(wide), dim=1), F.normalize(b.to(wide), dim=1)
    gram = a @ b.T if n <= d else b.T @ a
    return gram / (n * distortion * scale)


@torch.no_grad()
def _estimated_top(matrix: Tensor) -> Tensor:
    """The top singular value, from below, by power iteration from the ones: where collapsed rows have theirs.

    The same on every process and device, and far cheaper than a decomposition in each step.
    """
    matrix = matrix.detach()
    v = matrix.new_ones(matrix.shape[1])
    for _ in range(_POWER_STEPS):
        v = F.normalize(matrix.T @ (matrix @ v), dim=0)
    return torch.linalg.vector_norm(matrix @ v)


@torch.no_grad()
def top_singular_value(matrix: Tensor) -> Tensor:
    """Largest singular value of a square matrix, (K, K) -> scalar; above 1 the log-det series no longer converges."""
    return torch.linalg.matrix_norm(matrix.detach(), ord=2)


def _trace_of_log_series(x: Tensor, order: int) -> Tensor:
    """``Tr Σ_{k=1..order} (-1)^(k+1)/k x^k`` with order/2 - 1 matrix products: Tr(P Q) = Σ P ⊙ Qᵀ."""
    powers = [x]
    while len(powers) < (order + 1) // 2:
        powers.append(powers[-1] @ x)
    total = x.diagonal().sum()
    for k in range(2, order + 1):
        left, right = powers[k // 2 - 1], powers[(k + 1) // 2 - 1]
        total = total + (-1) ** (k + 1) / k * (left * right.T).sum()
    return total
