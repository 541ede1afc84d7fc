"""Two views of each image, in an order that can be picked up anywhere.

Every view is drawn from (seed, epoch, image, view) alone and the order of an epoch from (seed, epoch), so that
neither the number of workers nor a restart in the middle of an epoch changes a single pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from pretrain.data.colour import coloured
from pretrain.data.pixels import SMALLEST_SIDE, Image, why_not
from pretrain.data.sources import Source
from pretrain.data.views import SampledView, ViewSettings, sample_views
from pretrain.errors import InputError

_TRIES = 32


@dataclass(frozen=True)
class Sample:
    """Two views of one image, (2, size, size, 3) uint8, and the unreadable files met on the way to it.

    Attributes:
        colour: what the device still has to do with them, (2, 12) float64 (`pretrain.data.colour.Colour.row`); None for
            nothing.
    """

    views: Image
    path: str
    unreadable: tuple[str, ...]
    colour: NDArray[np.float64] | None = None


class TwoViews(Dataset[Sample]):
    """Two views of each image; indexed by (epoch, image number). An unreadable image gives way to the next one."""

    def __init__(self, source: Source, settings: ViewSettings, seed: int) -> None:
        self.source, self.settings, self.seed = source, settings, seed

    def __len__(self) -> int:
        """The number of images."""
        return len(self.source)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The two views of image ``key[1]`` in epoch ``key[0]``."""
        epoch, index = key
        unreadable: list[str] = []
        for offset in range(min(_TRIES, len(self))):
            k = (index + offset) % len(self)
            rngs = [np.random.default_rng((self.seed, epoch, index, view)) for view in range(2)]
            sampled = sample_views(self.source.read(k), self.settings, rngs)
            if sampled is not None:
                views, colour = self._finished(sampled)
                return Sample(views, self.source.name(k), tuple(unreadable), colour)
            unreadable.append(self.source.name(k))
        reason = why_not(self.source.read(index)) or f"smaller than {SMALLEST_SIDE} pixels"
        raise InputError(
            f"{len(unreadable)} images in a row cannot be read, the first is {unreadable[0]} ({reason}); check --data"
        )

    def _finished(self, sampled: Sequence[SampledView]) -> tuple[Image, NDArray[np.float64] | None]:
        if self.settings.colour == "device":
            return np.stack([view for view, _ in sampled]), np.stack([colour.row() for _, colour in sampled])
        return np.stack([coloured(view, colour) for view, colour in sampled]), None


def collate(samples: Sequence[Sample]) -> dict[str, Any]:
    """``views`` (2, N, 3, size, size) uint8 with the channels last in memory, ``paths``, ``unreadable``.

    Where the device does the colour work, also ``colour``, (2, N, 12) float64.
    """
    views = torch.from_numpy(np.stack([s.views for s in samples], axis=1))
    colours = [s.colour for s in samples if s.colour is not None]
    return {
        "views": views.permute(0, 1, 4, 2, 3),
        "paths": [s.path for s in samples],
        "unreadable": [path for s in samples for path in s.unreadable],
        **({"colour": torch.from_numpy(np.stack(colours, axis=1))} if colours else {}),
    }
