"""Images with a class each: folders of classes, and CIFAR-10, CIFAR-100 and STL-10 as they were published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pretrain.data.archives import ARCHIVES, find_archive, read_split
from pretrain.data.pixels import Image, read_image
from pretrain.data.sources import find_images, fingerprint
from pretrain.errors import InputError


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """One split: images, a class for each, and where they come from.

    Attributes:
        source: folder, or archive and split.
        items: image files, or an array (N, H, W, 3) uint8 in RGB.
        labels: position of each image's class in ``classes``, (N,).
        classes: class names.
        fingerprint: 16 hex digits; of names and sizes for files, of the content for an array.
    """

    source: str
    items: Sequence[Path] | Image
    labels: Tensor
    classes: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)

    def read(self, k: int) -> Image | None:
        """Image k, (H, W, 3) uint8 in RGB; None when its file cannot be read."""
        item = self.items[k]
        return read_image(item) if isinstance(item, Path) else item

    def name(self, k: int) -> str:
        """What to call image k in a message."""
        item = self.items[k]
        return str(item) if isinstance(item, Path) else f"{self.source} image {k}"


def class_names(root: Path, paths: Sequence[Path]) -> tuple[str, ...]:
    """The class folders directly below ``root`` that hold images, sorted.

    Raises:
        InputError: an image lies outside a class folder, or there are fewer than two classes.
    """
    stray = [p for p in paths if p.parent == root]
    if stray:
        raise InputError(
            f"classes of {root}: expected every image in a folder named after its class, found {len(stray)} directly "
            f"in it ({stray[0].name}, ...); move them or name another folder"
        )
    classes = tuple(sorted({p.relative_to(root).parts[0] for p in paths}))
    if len(classes) < 2:
        raise InputError(f"classes of {root}: expected at least two class folders, found only {classes[0]}")
    return classes


def class_folders(root: Path, classes: Sequence[str] | None = None) -> LabelledImages:
    """The split ``root/CLASS/**/*.jpg`` (or any other extension of `pretrain.data.image_files.SUFFIXES`).

    Args:
        root: folder of class folders.
        classes: the classes of the other split, which these must be among; None to find them.

    Raises:
        InputError: no images, images outside a class folder, or a class that is not among ``classes``.
    """
    paths = find_images(root)
    if classes is None:
        classes = class_names(root, paths)
    names = [p.relative_to(root).parts[0] if p.parent != root else p.name for p in paths]
    unknown = sorted(set(names) - set(classes))
    if unknown:
        raise InputError(
            f"classes of {root}: expected only the {len(classes)} classes of the other split "
            f"({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''}), found {', '.join(unknown[:3])}; use the "
            f"same folder names in both"
        )
    position = {name: k for k, name in enumerate(classes)}
    labels = torch.tensor([position[name] for name in names])
    return LabelledImages(str(root), paths, labels, tuple(classes), fingerprint(root, paths))


def labelled_splits(data: Path, query: Path | None = None) -> tuple[LabelledImages, LabelledImages]:
    """The split to learn from and the split to be tested on.

    Args:
        data: a folder with ``train/CLASS`` and ``val/CLASS`` or ``test/CLASS``, or with an unpacked archive of
            `ARCHIVES` (train and test); with ``query``, the class folders to learn from.
        query: the class folders to be tested on.

    Raises:
        InputError: nothing of this kind is there, the archive is damaged, the splits share images or do not share
            their classes.
    """
    if query is not None:
        return _pair(data, query)
    if (data / "train").is_dir():
        tests = [data / name for name in ("val", "test") if (data / name).is_dir()]
        if len(tests) != 1:
            given = "both" if tests else "neither"
            raise InputError(
                f"--data {data}: expected val or test beside train, found {given}; name the two folders with "
                f"--data {data / 'train'} --query FOLDER"
            )
        return _pair(data / "train", tests[0])
    archive = find_archive(data)
    if archive is not None:
        return _archive(*archive, "train"), _archive(*archive, "test")
    raise InputError(
        f"--data {data}: expected a folder train beside val or test, or one of "
        f"{', '.join(k.base_folder for k in ARCHIVES.values())}, found neither; for two folders of class folders use "
        f"--data FOLDER --query FOLDER"
    )


def _pair(data: Path, query: Path) -> tuple[LabelledImages, LabelledImages]:
    bank = class_folders(data)
    tested = class_folders(query, bank.classes)
    files = {p.resolve() for p in find_images(data)}
    shared = [p for p in find_images(query) if p.resolve() in files]
    if shared:
        raise InputError(
            f"--query {query}: expected other images than those of {data}, found {len(shared)} in both "
            f"({shared[0].name}, ...); name a held-out folder"
        )
    return bank, tested


def _archive(name: str, root: Path, split: str) -> LabelledImages:
    part = read_split(name, root, split)
    return LabelledImages(part.described, part.pixels, torch.from_numpy(part.labels), part.classes, part.fingerprint)
