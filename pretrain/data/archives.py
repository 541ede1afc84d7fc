"""CIFAR-10, CIFAR-100 and STL-10 as they were published, found and read by torchvision; nothing is downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torchvision.datasets import CIFAR10, CIFAR100, STL10

from pretrain.data.pixels import Image
from pretrain.errors import InputError

ARCHIVES = {"cifar10": CIFAR10, "cifar100": CIFAR100, "stl10": STL10}
UNLABELLED = {"cifar10": "train", "cifar100": "train", "stl10": "train+unlabeled"}  # what pretraining may see


@dataclass(frozen=True, eq=False)
class ArchiveSplit:
    """One split of an archive.

    Attributes:
        described: its folder and split.
        pixels: (N, H, W, 3) uint8 in RGB.
        labels: (N,) int64, -1 where an image has none.
        classes: class names.
    """

    described: str
    pixels: Image
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the content."""
        return hashlib.sha256(self.pixels.tobytes() + self.labels.tobytes()).hexdigest()[:16]


def find_archive(data: Path) -> tuple[str, Path] | None:
    """The name of the archive in the folder ``data``, or that is ``data``, and the folder that it lies in.

    Raises:
        InputError: it is there, but packed.
    """
    for name, kind in ARCHIVES.items():
        for root in (data, data.parent):
            if (root / kind.base_folder).is_dir() and (root == data or data.name == kind.base_folder):
                return name, root
        if (data / kind.filename).is_file():
            raise InputError(
                f"--data {data}: expected the folder {kind.base_folder}, found it packed; unpack it with "
                f"tar -xzf {data / kind.filename} -C {data}"
            )
    return None


def read_split(name: str, root: Path, split: str) -> ArchiveSplit:
    """One split, read by torchvision, which checks every file's MD5 before it opens any.

    CIFAR's files are pickles; nothing but the bytes that its authors published gets as far as being unpickled.

    Args:
        name: one of `ARCHIVES`.
        root: the folder that the archive lies in.
        split: train or test; for STL-10 also unlabeled and train+unlabeled.

    Raises:
        InputError: files are missing or changed.
    """
    kind = ARCHIVES[name]
    which = {"split": split} if kind is STL10 else {"train": split == "train"}
    try:
        images = kind(root, download=False, **which)
    except (RuntimeError, FileNotFoundError) as error:
        raise InputError(
            f"--data {root}: expected {kind.base_folder} as it was published, found files missing or changed "
            f"({error}); fetch {kind.url} and unpack it"
        ) from None
    pixels = np.ascontiguousarray(images.data.transpose(0, 2, 3, 1) if kind is STL10 else images.data)
    labels = np.asarray(images.labels if kind is STL10 else images.targets, dtype=np.int64)
    return ArchiveSplit(f"{root / kind.base_folder} {split}", pixels, labels, tuple(images.classes))


class ArchiveImages:
    """A `pretrain.data.sources.Source` of all images of an archive but its test split."""

    shards: Sequence[int] | None = None

    def __init__(self, name: str, root: Path) -> None:
        split = read_split(name, root, UNLABELLED[name])
        self.described, self.fingerprint, self._pixels = split.described, split.fingerprint, split.pixels

    def __len__(self) -> int:
        """The number of images."""
        return len(self._pixels)

    def name(self, k: int) -> str:
        """The archive, its split, and the place in it."""
        return f"{self.described} image {k}"

    def read(self, k: int) -> bytes:
        """Image k as a PNG, which keeps every pixel."""
        done, code = cv2.imencode(".png", self._pixels[k][:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 0])
        assert done
        return code.tobytes()
