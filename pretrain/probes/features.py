"""Pooled features of images under a frozen backbone: what the network says of each image, nothing random."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, Dataset

from pretrain.data.pixels import Image
from pretrain.progress import progress

STATISTICS_IMAGES, STATISTICS_BATCH = 2048, 64  # for the statistics of batch norms that have none


class Images(Protocol):
    """Anything with a length whose k-th image can be read."""

    def __len__(self) -> int:
        """The number of images."""
        ...

    def read(self, k: int) -> Image | None:
        """Image k, (H, W, 3) uint8 in RGB; None when it cannot be read."""
        ...


@dataclass(frozen=True)
class Input:
    """How an image becomes the backbone's input.

    Attributes:
        size: side of the central square, pixels.
        resize: length that the image's shorter side is brought to first, >= size, pixels.
        mean, std: of the normalisation, RGB, for pixels in 0-1.
    """

    size: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Features:
    """Features of a set of images.

    Attributes:
        values: (N, D) float32, on the CPU; meaningless where an image was not readable.
        readable: (N,) bool.
    """

    values: Tensor
    readable: Tensor


def central_square(image: Image, size: int, resize: int) -> Image:
    """The shorter side to ``resize`` (area filter down, linear up), then the centre: (H, W, 3) -> (size, size, 3)."""
    height, width = image.shape[:2]
    short = min(height, width)
    if short != resize:
        to = (max(size, round(width * resize / short)), max(size, round(height * resize / short)))
        image = cv2.resize(image, to, interpolation=cv2.INTER_AREA if short > resize else cv2.INTER_LINEAR)
        height, width = image.shape[:2]
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size]


def extract_features(
    backbone: nn.Module,
    images: Images,
    how: Input,
    *,
    batch: int = 64,
    workers: int = 0,
    name: str | None = None,
) -> Features:
    """Pooled features of every image, in eval mode, without gradient.

    The backbone is left as it was, training flags and running statistics included, and the global random state is
    neither read nor moved.

    Args:
        backbone: normalised RGB images (N, 3, size, size) -> features (N, D), or maps (N, D, S, S), which are pooled.
        images: what to look at.
        how: resizing and normalisation.
        batch: images at once.
        workers: loader processes; 0 reads in the main process.
        name: what to call the images beside a bar of progress; None for no bar.
    """
    values, readable = [], []
    with evaluating(backbone), torch.no_grad():
        what = None if name is None else f"features of {name}"
        batches = _batches(backbone, images, how, range(len(images)), batch, workers)
        for x, ok in progress(batches, what, unit="img", each=batch, total=-(-len(images) // batch)):
            h = backbone(x).float()
            values.append((h.mean(dim=(2, 3)) if h.ndim == 4 else h).cpu())
            readable.append(ok)
    return Features(torch.cat(values), torch.cat(readable))


def set_statistics(backbone: nn.Module, images: Images, how: Input, *, workers: int = 0) -> int:
    """Give every batch norm the statistics of some images in place of the running ones that it has.

    Means over whole batches of `STATISTICS_BATCH` of at most `STATISTICS_IMAGES` images, drawn without regard to their
    order: the images of a class lie together, and batches of one class vary too little.

    Args:
        backbone: as for `extract_features`; otherwise left as it was.
        images: what to look at; those that cannot be read are passed over, and batches with one that can.
        how: resizing and normalisation.
        workers: loader processes; 0 reads in the main process.

    Returns:
        The number of images looked at, unreadable ones included.
    """
    drawn = np.random.default_rng(0).permutation(len(images))[:STATISTICS_IMAGES].tolist()
    whole = len(drawn) // STATISTICS_BATCH * STATISTICS_BATCH or len(drawn)
    batches = _batches(backbone, images, how, drawn[:whole], STATISTICS_BATCH, workers)
    update_bn((x[ok.to(x.device)] for x, ok in batches if int(ok.sum()) > 1), backbone)  # one image has no variance
    return whole


def _batches(
    backbone: nn.Module, images: Images, how: Input, chosen: Sequence[int], batch: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Normalised images (N, 3, size, size) on the backbone's device, and which of them could be read, (N,) bool."""
    device = next(backbone.parameters()).device
    mean = torch.tensor(how.mean, device=device).view(3, 1, 1) * 255
    std = torch.tensor(how.std, device=device).view(3, 1, 1) * 255
    loader: DataLoader[tuple[Image, bool]] = DataLoader(
        _Squares(images, how),
        batch_size=batch,
        sampler=chosen,
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=single_thread,
        generator=torch.Generator(),  # without one of its own, a loader draws from the global random state
    )
    for pixels, ok in loader:
        x = pixels.permute(0, 3, 1, 2).to(device, torch.float32)
        yield (x - mean) / std, ok


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode for the length of a block; afterwards every module is back in the mode that it was in."""
    before = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, training in before:
            m.training = training


class _Squares(Dataset[tuple[Image, bool]]):
    def __init__(self, images: Images, how: Input) -> None:
        self.images, self.how = images, how

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, k: int) -> tuple[Image, bool]:
        image = self.images.read(k)
        if image is None:
            return np.zeros((self.how.size, self.how.size, 3), np.uint8), False
        return central_square(image, self.how.size, self.how.resize), True


def _collate(samples: Sequence[tuple[Image, bool]]) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.stack([s[0] for s in samples])), torch.tensor([s[1] for s in samples])


def single_thread(worker: int) -> None:
    """What a loader process begins with: one thread, and deaf to Ctrl-C."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one decides
