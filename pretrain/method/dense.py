"""DenseCL's contrast of single cells of the feature maps (Wang et al., CVPR 2021, arXiv 2011.09157, section 3).

The paper contrasts with a queue of keys from a slowly moving encoder; here the negatives are the other images of the
batch, as in SimCLR and for the same loss beside it (``docs/method.md``, section 6).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cells_of(maps: Tensor, grid: int) -> Tensor:
    """The cells of feature maps, at most ``grid`` by ``grid``, by adaptive average pooling; smaller maps as they are.

    Args:
        maps: (..., D, H, W).
        grid: S >= 1; 7 in the paper.

    Returns:
        (..., C, D), row by row, C = min(S, H) min(S, W).
    """
    *leading, width, height, breadth = maps.shape
    size = min(grid, height), min(grid, breadth)
    cells = maps if size == (height, breadth) else F.adaptive_avg_pool2d(maps.flatten(0, -4), size)
    return cells.reshape(*leading, width, -1).transpose(-1, -2)


@torch.no_grad()
def best_matches(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """For each cell of one view the most similar one of the other: ``c_i = argmax_j cos(a_i, b_j)``, and back.

    Args:
        a: features of view 1, (N, C, D).
        b: features of view 2, (N, C, D); row n shows the same image as row n of ``a``.

    Returns:
        Indices into the C cells of ``b`` for those of ``a``, (N, C), and the other way round; the first one of equals.
    """
    if a.ndim != 3 or a.shape != b.shape:
        raise ValueError(
            f"cells of two views: expected two tensors of one shape (N, C, D), found {tuple(a.shape)} and "
            f"{tuple(b.shape)}"
        )
    similarity = F.normalize(a, dim=2) @ F.normalize(b, dim=2).transpose(1, 2)
    return similarity.argmax(dim=2), similarity.argmax(dim=1)


def dense_contrastive_loss(a: Tensor, b: Tensor, a_to_b: Tensor, b_to_a: Tensor, temperature: float = 0.2) -> Tensor:
    """Contrast of each cell with its match in the other view (DenseCL eq. 2), both directions averaged.

    ``-log exp(r·t₊/τ) / (exp(r·t₊/τ) + Σ exp(r·t₋/τ))``, mean over cells: r a cell's embedding, t₊ that of its match,
    and t₋ the *pooled* embeddings of the other images, of both views: 2N - 2 of them. All have length 1.

    Args:
        a: embeddings of view 1's cells, (N, C, d), N >= 2.
        b: embeddings of view 2's cells, (N, C, d); row n shows the same image as row n of ``a``.
        a_to_b: which cell of ``b`` each cell of ``a`` matches, (N, C).
        b_to_a: which cell of ``a`` each cell of ``b`` matches, (N, C).
        temperature: τ > 0; 0.2 in the paper.

    Returns:
        Scalar; log(2N - 1) when all cells are alike.

    Raises:
        ValueError: shapes that do not fit, N < 2, or a temperature that is not positive.
    """
    if (
        a.ndim != 3
        or a.shape != b.shape
        or a.shape[0] < 2
        or a_to_b.shape != a.shape[:2]
        or b_to_a.shape != a.shape[:2]
    ):
        raise ValueError(
            f"cells of two views: expected two tensors of one shape (N >= 2, C, d) and matches (N, C), found "
            f"{tuple(a.shape)}, {tuple(b.shape)}, {tuple(a_to_b.shape)} and {tuple(b_to_a.shape)}"
        )
    if temperature <= 0:
        raise ValueError(f"temperature: expected a number above 0, found {temperature}")
    n = a.shape[0]
    pooled = F.normalize(torch.cat([a.mean(dim=1), b.mean(dim=1)]), dim=1)
    a, b = F.normalize(a, dim=2), F.normalize(b, dim=2)
    own = torch.eye(n, dtype=torch.bool, device=a.device).repeat(1, 2)[:, None]  # (N, 1, 2N)

    def one_way(query: Tensor, key: Tensor, match: Tensor) -> Tensor:
        # The matched keys are not gathered: many cells may match one, and a GPU's sum over them has no fixed order.
        positive = (query @ key.transpose(1, 2)).gather(2, match[..., None]).squeeze(2) / temperature
        negative = (query @ pooled.T / temperature).masked_fill(own, float("-inf"))
        return (torch.cat([positive[..., None], negative], dim=2).logsumexp(dim=2) - positive).mean()

    return (one_way(a, b, a_to_b) + one_way(b, a, b_to_a)) / 2
