"""Where images without labels come from: folders, a list of files, a COCO data set's folder, WebDataset shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pretrain.data import image_files
from pretrain.data.archives import ArchiveImages, find_archive
from pretrain.data.packed_strings import PackedStrings
from pretrain.data.shards import TarShards, expand_shards
from pretrain.errors import InputError


class Source(Protocol):
    """Encoded images under numbers that never change.

    Attributes:
        described: what the user named, for messages and records.
        fingerprint: 16 hex digits from names and sizes; no image is read for it.
        shards: how many images lie in each file, in the order of their numbers; None where each is a file of its own.
    """

    described: str
    fingerprint: str
    shards: Sequence[int] | None

    def __len__(self) -> int:
        """The number of images."""
        ...

    def name(self, k: int) -> str:
        """What to call image k in a message: its file, and where in it."""
        ...

    def read(self, k: int) -> bytes:
        """Image k as it is stored."""
        ...


class ImageFiles:
    """A `Source` of one file per image.

    Args:
        described: what the user named.
        paths: the files.
        fingerprint: 16 hex digits.
        root: the one folder that all of them lie in, None where they come from several.
    """

    shards: Sequence[int] | None = None

    def __init__(self, described: str, paths: Sequence[Path], fingerprint: str, root: Path | None = None) -> None:
        self.described, self.fingerprint, self.root = described, fingerprint, root
        self._names = PackedStrings(str(p) for p in paths)

    def __len__(self) -> int:
        """The number of images."""
        return len(self._names)

    @property
    def paths(self) -> list[Path]:
        """The files, made anew at each call."""
        return [Path(name) for name in self._names]

    def name(self, k: int) -> str:
        """The path of image k."""
        return self._names[k]

    def read(self, k: int) -> bytes:
        """The bytes of image k's file; empty where it is gone or locked, which counts as an unreadable image."""
        try:
            return Path(self._names[k]).read_bytes()
        except OSError:
            return b""


def open_source(data: Sequence[Path], annotations: Path | None = None) -> Source:
    """What ``--data`` names.

    Args:
        data: folders of images (searched recursively), or one ``.txt`` list of files, or WebDataset shards: a folder
            of ``.tar`` files, ``.tar`` files, or patterns such as ``train-{000..146}.tar``; or the folder of an
            unpacked CIFAR-10, CIFAR-100 or STL-10, of which all but the test split is taken.
        annotations: a COCO annotation file; of the folders' images only those that it lists are taken.

    Raises:
        InputError: nothing there, kinds mixed, or images missing that a list or the annotations name.
    """
    described = " ".join(map(str, data))
    shards = [(item, _shards(item)) for item in data]
    if any(paths for _, paths in shards):
        strangers = [item for item, paths in shards if not paths] + ([annotations] if annotations else [])
        if strangers:
            raise InputError(
                f"--data {described}: expected WebDataset shards alone, found {strangers[0]} beside them; use one kind "
                "of source"
            )
        return TarShards(described, [path for _, paths in shards for path in paths], image_files.SUFFIXES)
    archive = find_archive(data[0]) if len(data) == 1 and annotations is None else None
    if archive is not None:
        return ArchiveImages(*archive)
    if len(data) == 1 and data[0].suffix == ".txt":
        if annotations:
            raise InputError(f"--annotations: expected folders in --data, found the list {data[0]}; leave one out")
        paths = listed_images(data[0])
        return ImageFiles(described, paths, fingerprint(data[0].parent, paths))
    folders = [(root, find_images(root)) for root in data]
    if annotations is not None:
        folders = _annotated(folders, annotations)
    digests = [fingerprint(root, paths) for root, paths in folders]
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]
    root = data[0] if len(data) == 1 else None
    return ImageFiles(described, [p for _, paths in folders for p in paths], digest, root)


def find_images(root: Path) -> list[Path]:
    """All image files below a folder, sorted by their path; hidden ones and those in hidden folders are no images.

    Raises:
        InputError: the folder is missing or holds no image.
    """
    if not root.is_dir():
        raise InputError(
            f"--data: expected a folder of images, found no folder at {root}; name a folder, a .txt list of images or "
            ".tar shards"
        )
    paths = image_files.find(root)
    if not paths:
        raise InputError(f"--data: expected images ({' '.join(image_files.SUFFIXES)}) below {root}, found none")
    return paths


def listed_images(path: Path) -> list[Path]:
    """The files that a text file names, one a line, relative to its own folder; empty lines count for nothing.

    Raises:
        InputError: no such list, an empty one, or one that names files that do not exist.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"--data: expected a list of images, found nothing at {path}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"--data {path}: expected a list of file names in UTF-8, found other bytes ({error})"
        ) from None
    named = [path.parent / line.strip() for line in lines if line.strip()]
    if not named:
        raise InputError(f"--data {path}: expected a file name on each line, found none")
    missing = [p for p in named if not p.is_file()]
    if missing:
        raise InputError(
            f"--data {path}: expected {len(named)} files, found {len(missing)} of them missing ({missing[0]}, ...); "
            f"names count from {path.parent}"
        )
    return named


def fingerprint(root: Path, paths: Sequence[Path]) -> str:
    """16 hex digits from the images' relative paths and sizes in bytes; the files are not read."""
    digest = hashlib.sha256()
    for path in paths:
        name = path.relative_to(root) if path.is_relative_to(root) else path
        digest.update(f"{name.as_posix()}\0{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _shards(item: Path) -> list[Path]:
    """The tar files that one value of ``--data`` names; a folder that holds images too is a folder of images."""
    if item.suffix == ".tar":
        return expand_shards(item)
    tars = image_files.find(item, (".tar",), deep=False) if item.is_dir() else []
    return [] if tars and image_files.find(item) else tars


def _annotated(folders: list[tuple[Path, list[Path]]], annotations: Path) -> list[tuple[Path, list[Path]]]:
    """Of the images in each folder those that a COCO file lists, by their path from the folder or by their name."""
    wanted = _coco_names(annotations)
    selected, present = [], set()
    for root, paths in folders:
        taken = []
        for path in paths:
            match = next((n for n in (path.relative_to(root).as_posix(), path.name) if n in wanted), None)
            if match is not None:
                taken.append(path)
                present.add(match)
        selected.append((root, taken))
    missing = sorted(wanted - present)
    if missing:
        raise InputError(
            f"--annotations {annotations}: expected its {len(wanted)} images in --data, found {len(missing)} of them "
            f"missing ({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}); name their folder"
        )
    return [(root, paths) for root, paths in selected if paths]


def _coco_names(path: Path) -> set[str]:
    try:
        names = {image["file_name"] for image in json.loads(path.read_text(encoding="utf-8-sig"))["images"]}
        if not all(isinstance(name, str) for name in names):
            raise TypeError("a file_name that is no text")
    except FileNotFoundError:
        raise InputError(f"--annotations: expected a COCO file, found nothing at {path}") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        raise InputError(
            f"--annotations {path}: expected COCO's JSON with a file_name for each of its images, found something else "
            f"({type(error).__name__}: {error})"
        ) from None
    if not names:
        raise InputError(f"--annotations {path}: expected images, found an empty list")
    return names
