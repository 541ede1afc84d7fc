"""Two views of each image, in an order that can be picked up anywhere.

Every view is drawn from (seed, epoch, image, view) alone and the order of an epoch from (seed, epoch), so that
neither the number of workers nor a restart in the middle of an epoch changes a single pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from pretrain.colour import coloured
from pretrain.errors import InputError
from pretrain.pixels import Image
from pretrain.sources import Source
from pretrain.views import Drawn, ViewSettings, draw_views

SHUFFLED_SHARDS = 16  # tar files whose images are shuffled together: what should stay in the page cache
_TRIES = 32


@dataclass(frozen=True)
class Sample:
    """Two views of one image, (2, size, size, 3) uint8, and the unreadable files met on the way to it.

    Attributes:
        colour: what the device still has to do with them, (2, 11) float64 (`pretrain.colour.Colour.row`); None for
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
            drawn = draw_views(self.source.read(k), self.settings, rngs)
            if drawn is not None:
                views, colour = self._finished(drawn)
                return Sample(views, self.source.name(k), tuple(unreadable), colour)
            unreadable.append(self.source.name(k))
        raise InputError(
            f"{len(unreadable)} images in a row cannot be read, the first is {unreadable[0]}; check --data"
        )

    def _finished(self, drawn: Sequence[Drawn]) -> tuple[Image, NDArray[np.float64] | None]:
        if self.settings.colour == "device":
            return np.stack([view for view, _ in drawn]), np.stack([colour.row() for _, colour in drawn])
        return np.stack([coloured(view, colour) for view, colour in drawn]), None


def collate(samples: Sequence[Sample]) -> dict[str, Any]:
    """``views`` (2, N, 3, size, size) uint8 with the channels last in memory, ``paths``, ``unreadable``.

    Where the device does the colour work, also ``colour``, (2, N, 11) float64.
    """
    views = torch.from_numpy(np.stack([s.views for s in samples], axis=1))
    colours = [s.colour for s in samples if s.colour is not None]
    return {
        "views": views.permute(0, 1, 4, 2, 3),
        "paths": [s.path for s in samples],
        "unreadable": [path for s in samples for path in s.unreadable],
        **({"colour": torch.from_numpy(np.stack(colours, axis=1))} if colours else {}),
    }


class BatchOrder(Sampler[list[tuple[int, int]]]):
    """The batches of a whole training, from any iteration on: lists of (epoch, image number).

    Each epoch is a permutation drawn from (seed, epoch); its last incomplete batch is dropped.

    Args:
        images: how many there are.
        batch: images per iteration, over all ranks.
        iterations: of the whole training.
        seed: of the permutations.
        shards: images per tar file, see `epoch_order`; None for one permutation of all.
        share: what is delivered of each batch; with several ranks ``slice(rank, None, world)``.
    """

    def __init__(
        self,
        images: int,
        batch: int,
        iterations: int,
        seed: int,
        shards: Sequence[int] | None = None,
        share: slice = slice(None),
    ) -> None:
        if images < batch:
            raise InputError(
                f"too few images for one batch: expected at least data.batch = {batch}, found {images}; add images or "
                f"set --cfg-options data.batch={max(2, images // 2)}"
            )
        self.images, self.batch, self.iterations, self.seed = images, batch, iterations, seed
        self.shards, self.share = shards, share
        self.start = 0  # the first iteration to deliver; set by the training loop on resume

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.images // self.batch

    def __len__(self) -> int:
        """Batches left."""
        return self.iterations - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Batches from `start` to the end of training."""
        epoch, order = -1, np.empty(0, dtype=np.int64)
        for iteration in range(self.start, self.iterations):
            now, position = divmod(iteration, self.batches_per_epoch)
            if now != epoch:
                epoch, order = now, epoch_order(self.images, self.seed, now, self.shards)
            yield [(epoch, int(k)) for k in order[position * self.batch : (position + 1) * self.batch][self.share]]


def epoch_order(images: int, seed: int, epoch: int, shards: Sequence[int] | None = None) -> NDArray[np.int64]:
    """A permutation of the images drawn from (seed, epoch).

    With ``shards`` (images per tar file) the files are permuted, and the images of `SHUFFLED_SHARDS` files at a time
    among themselves: disks and network storage then read few files at once instead of all of them.
    """
    rng = np.random.default_rng((seed, epoch))
    if shards is None:
        return rng.permutation(images)
    first = np.cumsum([0, *shards])
    files = rng.permutation(len(shards))
    groups = [
        np.concatenate([np.arange(first[f], first[f + 1]) for f in files[at : at + SHUFFLED_SHARDS]])
        for at in range(0, len(files), SHUFFLED_SHARDS)
    ]
    return np.concatenate([rng.permutation(group) for group in groups])


class UnreadableImages:
    """Counts and names the images that could not be read, and stops training when they are too many."""

    def __init__(self, images: int, max_share: float) -> None:
        self.images, self.max_share = images, max_share
        self.names: set[str] = set()

    def add(self, names: Sequence[str]) -> list[str]:
        """Take note of unreadable files; returns those not seen before.

        Raises:
            InputError: more than ``max_share`` of all images are unreadable.
        """
        new = [n for n in dict.fromkeys(names) if n not in self.names]
        self.names.update(new)
        if len(self.names) > self.max_share * self.images:
            raise InputError(
                f"too many unreadable images: expected at most {self.max_share:.0%} of {self.images}, found "
                f"{len(self.names)} so far ({', '.join(sorted(self.names)[:3])}, ...); repair or remove them, or raise "
                f"data.max_unreadable"
            )
        return new
