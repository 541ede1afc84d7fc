"""The images both networks are shown in a proof: made up, or real ones from a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from transfer.errors import InputError

SIZE = (128, 96)  # height, width: multiples of 32, and not square, so that a transposed axis shows
COUNT = 2
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def synthetic(seed: int = 0) -> Tensor:
    """Coloured blobs with fine noise over them, the same for the same seed.

    Returns:
        (2, 3, 128, 96) float32, RGB, whole numbers in 0-255.
    """
    generator = torch.Generator().manual_seed(seed)
    blobs = functional.interpolate(torch.rand(COUNT, 3, 8, 6, generator=generator), size=SIZE, mode="bicubic")
    noise = torch.rand(COUNT, 3, *SIZE, generator=generator)
    return ((0.8 * blobs + 0.2 * noise) * 255).clamp(0, 255).round()


def from_folder(folder: str | Path, count: int = 4) -> Tensor:
    """The first images of a folder, by name, resized.

    Returns:
        (n, 3, 128, 96) float32, RGB, whole numbers in 0-255; n is at most ``count``.

    Raises:
        InputError: no folder, or no image in it that can be read.
    """
    from PIL import Image, UnidentifiedImageError

    files = sorted(p for p in Path(folder).glob("*") if p.suffix.lower() in _SUFFIXES)[:count]
    if not files:
        raise InputError(f"no images to compare on: expected {', '.join(_SUFFIXES)} files, found none in {folder}")
    pictures = []
    for path in files:
        try:
            with Image.open(path) as image:
                raw = bytearray(image.convert("RGB").resize(SIZE[::-1]).tobytes())
        except (UnidentifiedImageError, OSError) as error:
            raise InputError(f"an image cannot be read: expected a picture, found {error}; remove {path}") from error
        pictures.append(torch.frombuffer(raw, dtype=torch.uint8).view(*SIZE, 3).permute(2, 0, 1))
    return torch.stack(pictures).float()
