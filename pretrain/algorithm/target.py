"""BYOL's target: a network that follows the one in training at a distance (Grill et al. 2020)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pretrain.distributed import ranks
from pretrain.method.objective import per_view


class Target(nn.Module):
    """Copies of backbone and projector, moved by an exponential moving average alone; never by a gradient.

    Args:
        net: the backbone as it is now, copied.
        projector: BYOL's projector as it is now, copied.
    """

    def __init__(self, net: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.net, self.projector = copy.deepcopy(net), copy.deepcopy(projector)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, views: Tensor, masked: Callable[[Tensor], Tensor]) -> Tensor:
        """Embeddings of both views, constants: (2, n, 3, H, W) on each rank -> (2, N, d), N of all ranks.

        Args:
            views: this rank's normalised images.
            masked: pooled features (2, N, D) -> what the projector reads of them.
        """
        embeddings: Tensor = self.projector(masked(ranks.gather(per_view(self.net, views))))
        return embeddings

    @torch.no_grad()
    def follow(self, net: nn.Module, projector: nn.Module, momentum: float) -> None:
        """``target <- momentum target + (1 - momentum) online``; running statistics are the target's own."""
        online: list[Tensor] = [*net.parameters(), *projector.parameters()]
        torch._foreach_lerp_(list(self.parameters()), online, 1 - momentum)


def target_momentum(start: float, t: int, iterations: int) -> float:
    """Rises from ``start`` to 1 by a cosine over the training (Grill et al. 2020, eq. 3)."""
    return 1 - (1 - start) * (math.cos(math.pi * t / iterations) + 1) / 2
