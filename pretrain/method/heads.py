"""What stands between the pooled feature and the losses: projection heads, the dimensional mask, the view fusion."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Head(nn.Sequential):
    """Layers for the embeddings of one view, (N, D), or of several at once, (V, N, D).

    Its batch norms see one view at a time either way; everything else takes all views in one product, whose weights
    are then read once.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., N, D) -> (..., N, d)."""
        for layer in self:
            together = x.ndim == 2 or isinstance(layer, (nn.Linear, nn.ReLU))
            x = layer(x) if together else torch.stack([layer(view) for view in x])
        return x


def mlp(widths: Sequence[int], *, last_norm: bool = False) -> Head:
    """Linear, batch norm, ReLU, ..., Linear [, batch norm].

    Args:
        widths: input, hidden and output widths, at least two.
        last_norm: batch norm after the last layer too (both heads of MetaMask).

    Returns:
        Module (..., N, widths[0]) -> (..., N, widths[-1]). A Linear followed by a norm has no bias: the norm
        would remove it.
    """
    if len(widths) < 2:
        raise ValueError(f"mlp: expected at least an input and an output width, found {list(widths)}")
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for k, (inputs, outputs) in enumerate(pairwise(widths)):
        norm = k < last or last_norm
        layers.append(nn.Linear(inputs, outputs, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm1d(outputs))
        if k < last:
            layers.append(nn.ReLU())
    return Head(*layers)


class DimensionalMask(nn.Module):
    """One weight per feature dimension, shared by all samples and both views (MetaMask, Li et al. 2022, fig. 3).

    ``h~ = h ⊙ M`` with ``M = sigmoid(m)``, m = 0 at the start, or ``M = m``, m = 1 at the start (``identity``).
    Every head begins with Linear and batch norm, so that only the weights' ratios matter to the losses.
    """

    def __init__(self, *, width: int, form: str = "sigmoid") -> None:
        super().__init__()
        if form not in ("sigmoid", "identity"):
            raise ValueError(f"mask: expected sigmoid or identity, found {form!r}")
        self.form = form
        self.logits = nn.Parameter(torch.zeros(width) if form == "sigmoid" else torch.ones(width))

    def weights(self) -> Tensor:
        """The mask M, (D,): in (0, 1) for ``sigmoid``."""
        return self.logits.sigmoid() if self.form == "sigmoid" else self.logits

    def forward(self, h: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        if h.shape[-1] != self.logits.shape[0]:
            raise ValueError(f"mask: expected features of width {self.logits.shape[0]}, found {tuple(h.shape)}")
        return h * self.weights()


class ViewFusion(nn.Module):
    """CompMod's network g_ξ on what both views have in common (Guo et al. 2024, eq. 5 and table 7).

    Args:
        width: D of what it reads of one view.
        out: d.
        mix: None reads both views side by side, 2D - D - d; a share a in 0-1 reads a times view 1 plus 1 - a times view
            2, D - D - d.
    """

    def __init__(self, *, width: int, out: int, mix: float | None = None) -> None:
        super().__init__()
        self.mix = mix
        self.layers = mlp([2 * width if mix is None else width, width, out])

    def forward(self, views: Tensor) -> Tensor:
        """(2, N, D) -> (N, d)."""
        if self.mix is None:
            return self.layers(torch.cat([views[0], views[1]], dim=1))
        return self.layers(self.mix * views[0] + (1 - self.mix) * views[1])
