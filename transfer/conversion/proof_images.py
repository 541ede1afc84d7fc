"""The images both networks are shown in a proof: made up, or real ones from a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from transfer.errors import InputError
from transfer.files import image_files, pixels

SIZE = (128, 96)  # height, width: multiples of 32, and not square, so that a transposed axis shows
COUNT = 2


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
    folder = Path(folder)
    chosen = image_files.find(folder, deep=False)[:count] if folder.is_dir() else []
    if not chosen:
        suffixes = ", ".join(image_files.SUFFIXES)
        raise InputError(f"no images to compare on: expected {suffixes} files, found none in {folder}")
    resized = [Image.fromarray(pixels.read(path)).resize(SIZE[::-1]) for path in chosen]
    pictures = [torch.frombuffer(bytearray(one.tobytes()), dtype=torch.uint8).view(*SIZE, 3) for one in resized]
    return torch.stack([picture.permute(2, 0, 1) for picture in pictures]).float()
