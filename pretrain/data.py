"""Images without labels: find them, and deliver two views of each in an order that can be picked up anywhere.

Every view is drawn from (seed, epoch, image, view) alone and the order of an epoch from (seed, epoch), so that
neither the number of workers nor a restart in the middle of an epoch changes a single pixel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from pretrain.errors import InputError
from pretrain.views import Image, ViewSettings, make_view

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
SMALLEST_SIDE = 8  # pixels; anything smaller is an icon or a damaged file
_TRIES = 32


def find_images(root: Path) -> list[Path]:
    """All image files below a folder, sorted by their path.

    Raises:
        InputError: the folder is missing or holds no image.
    """
    if not root.is_dir():
        raise InputError(f"--data: expected a folder of images, found no folder at {root}")
    found = sorted(p for p in root.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    if not found:
        raise InputError(f"--data: expected images ({' '.join(EXTENSIONS)}) below {root}, found none")
    return found


def fingerprint(root: Path, paths: Sequence[Path]) -> str:
    """16 hex digits from the images' relative paths and sizes in bytes; the files are not read."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]


def read_image(path: Path) -> Image | None:
    """RGB (H, W, 3) uint8, upright; None when the file cannot be decoded or is smaller than `SMALLEST_SIDE`."""
    encoded = np.fromfile(path, dtype=np.uint8)
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None or min(image.shape[:2]) < SMALLEST_SIDE:
        return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@dataclass(frozen=True)
class Sample:
    """Two views of one image, (2, size, size, 3) uint8, and the unreadable files met on the way to it."""

    views: Image
    path: str
    unreadable: tuple[str, ...]


class TwoViews(Dataset[Sample]):
    """Two views of each image; indexed by (epoch, image number). An unreadable image gives way to the next one."""

    def __init__(self, paths: Sequence[Path], settings: ViewSettings, seed: int) -> None:
        self.paths, self.settings, self.seed = list(paths), settings, seed

    def __len__(self) -> int:
        """The number of images."""
        return len(self.paths)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The two views of image ``key[1]`` in epoch ``key[0]``."""
        epoch, index = key
        unreadable: list[str] = []
        for offset in range(min(_TRIES, len(self.paths))):
            path = self.paths[(index + offset) % len(self.paths)]
            image = read_image(path)
            if image is not None:
                views = [
                    make_view(image, self.settings, np.random.default_rng((self.seed, epoch, index, view)))
                    for view in range(2)
                ]
                return Sample(np.stack(views), str(path), tuple(unreadable))
            unreadable.append(str(path))
        raise InputError(
            f"{len(unreadable)} images in a row cannot be read, the first is {unreadable[0]}; check --data"
        )


def collate(samples: Sequence[Sample]) -> dict[str, Any]:
    """``views`` (2, N, 3, size, size) uint8 with the channels last in memory, ``paths``, ``unreadable``."""
    views = torch.from_numpy(np.stack([s.views for s in samples], axis=1))
    return {
        "views": views.permute(0, 1, 4, 2, 3),
        "paths": [s.path for s in samples],
        "unreadable": [path for s in samples for path in s.unreadable],
    }


class BatchOrder(Sampler[list[tuple[int, int]]]):
    """The batches of a whole training, from any iteration on: lists of (epoch, image number).

    Each epoch is a permutation drawn from (seed, epoch); its last incomplete batch is dropped. Of each batch only
    ``share`` is delivered: all of it, or with several ranks what ``slice(rank, None, world)`` picks.
    """

    def __init__(self, images: int, batch: int, iterations: int, seed: int, share: slice = slice(None)) -> None:
        if images < batch:
            raise InputError(
                f"too few images for one batch: expected at least data.batch = {batch}, found {images}; add images or "
                f"set --cfg-options data.batch={max(2, images // 2)}"
            )
        self.images, self.batch, self.iterations, self.seed, self.share = images, batch, iterations, seed, share
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
                epoch, order = now, np.random.default_rng((self.seed, now)).permutation(self.images)
            yield [(epoch, int(k)) for k in order[position * self.batch : (position + 1) * self.batch][self.share]]


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
