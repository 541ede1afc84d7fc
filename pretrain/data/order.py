"""The order of the images: (epoch, image number) for every iteration of a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from pretrain.errors import InputError

SHUFFLED_SHARDS = 16  # tar files whose images are shuffled together: what should stay in the page cache


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
