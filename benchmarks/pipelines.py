"""Three ways from an encoded image to two SimCLR views: ours, lightly's transform, and torchvision's v2 transforms."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import numpy as np
import torch

from pretrain.data.views import ViewSettings, make_views

Pipeline = Callable[[bytes], object]  # one encoded image -> two views


def ours(size: int) -> Pipeline:
    """`pretrain.data.views` with SimCLR's full set: colour strength 1, blur with probability 0.5."""
    settings = ViewSettings(size=size, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, blur=0.5)
    numbers = itertools.count()

    def two_views(encoded: bytes) -> object:
        k = next(numbers)  # the generators are made anew for every image, as in training
        views = make_views(encoded, settings, [np.random.default_rng((0, 0, k, view)) for view in range(2)])
        assert views is not None
        return np.stack(views)

    return two_views


def lightly(size: int) -> Pipeline:
    """lightly's `SimCLRTransform` on Pillow images, without its normalisation, which ours leaves to the device."""
    from lightly.transforms.simclr_transform import SimCLRTransform
    from PIL import Image

    transform = SimCLRTransform(input_size=size, normalize=None)
    return lambda encoded: transform(Image.open(io.BytesIO(encoded)).convert("RGB"))


def torchvision(size: int) -> Pipeline:
    """torchvision's v2 transforms on uint8 tensors, the same set, decoded once by its own decoder."""
    from torchvision.io import decode_jpeg
    from torchvision.transforms import v2

    side = max(3, int(0.1 * size) | 1)
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(size, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], 0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(side, (0.1, 2.0))], 0.5),
        ]
    )

    def two_views(encoded: bytes) -> object:
        image = decode_jpeg(torch.frombuffer(bytearray(encoded), dtype=torch.uint8))
        return transform(image), transform(image)

    return two_views


PIPELINES: dict[str, Callable[[int], Pipeline]] = {"ours": ours, "lightly": lightly, "torchvision v2": torchvision}
