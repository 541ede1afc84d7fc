"""Val images that training or pretraining has seen: an honest comparison says how many there are.

The same annotation file for both is refused; everything else is counted, kept in the run's record, and said in the
report, because only its reader can know whether it was meant.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from transfer.errors import InputError
from transfer.files import pixels
from transfer.files.image_files import is_hidden
from transfer.progress import over
from transfer.records.record import Leaks, Split

_MOST_DECODED = 1000  # val images; decoding more would take minutes
_MOST_TWINS = 4  # training images of one name, from several folders
_JOINED = " + "  # between the files of several sets in one Split


def refuse_same_file(train: Split | None, val: Split) -> None:
    """Raise InputError when training and measuring read the same annotations, by path or by content."""
    if train is None:
        return
    shared = set(map(_absolute, val.annotations.split(_JOINED))) & set(map(_absolute, train.annotations.split(_JOINED)))
    if shared or train.fingerprint == val.fingerprint:
        raise InputError(
            f"{val.annotations}: expected another file to measure on than the one trained on, found the same for both; "
            "its AP would say nothing of other images: name a held-out set"
        )


def find(train: Sequence[str], val: Sequence[str], pretraining: Any = None) -> Leaks:
    """Count the val images that are among the training images, or below what the weights were pretrained on.

    Args:
        train: the training images' files.
        val: the val images' files.
        pretraining: ``data`` of the weights' metadata, as ``pretrain`` writes it: ``path`` is what ``--data`` named;
            None where nothing is known.

    Returns:
        Counts of val images, each under the first kind that holds: same file, same bytes (or, under one name in
        whatever case and format, the same pixels), same name. Files that cannot be read are of no kind.
    """
    training = set(map(_absolute, train))
    same_file = [file for file in val if _absolute(file) in training]
    rest = [file for file in val if _absolute(file) not in training]
    same_bytes = _same_bytes(train, rest)
    named: dict[str, list[str]] = {}
    for file in train:
        named.setdefault(_stem(file), []).append(file)
    twins = [(file, named[_stem(file)]) for file in rest if file not in same_bytes and _stem(file) in named]
    same_pixels = sum(_same_pixels(file, others) for file, others in over(twins[:_MOST_DECODED], "comparing", "images"))
    counts = len(same_bytes) + same_pixels, len(twins) - same_pixels
    return Leaks(len(same_file), *counts, _pretrained(val, pretraining))


def lines(leaks: Leaks | None) -> list[str]:
    """Return a sentence for each kind of leak there is, for the log and the report."""
    if leaks is None:
        return []
    texts = {
        "val images are training images as well (the same file): the AP is partly that of learning by heart": (
            leaks.same_file
        ),
        "val images have the bytes or pixels of a training image: the AP is partly that of learning by heart": (
            leaks.same_bytes
        ),
        "val images have the name of a training image, with another content; are the splits what they should be?": (
            leaks.same_name
        ),
        "val images lie in the data that the weights were pretrained on: the backbone has seen them, without labels": (
            leaks.pretraining
        ),
    }
    return [
        f"{count} {text}." if not text.endswith("?") else f"{count} {text}" for text, count in texts.items() if count
    ]


@lru_cache(maxsize=100_000)
def _folder(name: str) -> str:
    return os.path.realpath(name)


def _absolute(file: str) -> str:
    """Return a file's path with the links of its folder followed, without asking the disk for every file."""
    folder, name = os.path.split(os.path.abspath(file))
    return os.path.join(_folder(folder), name)


def _same_bytes(train: Sequence[str], val: Sequence[str]) -> set[str]:
    """Return the val files with the content of a training file: sizes first, so that few are read."""
    by_size: dict[int, list[str]] = {}
    for file in val:
        by_size.setdefault(_size(file), []).append(file)
    by_size.pop(-1, None)
    if not by_size:
        return set()
    alike = [file for file in over(train, "comparing train and val", "images") if _size(file) in by_size]
    known = {_digest(file) for file in alike}
    sizes = {_size(file) for file in alike}
    candidates = [file for size in sizes for file in by_size[size]]
    return {file for file in candidates if (digest := _digest(file)) is not None and digest in known}


def _stem(file: str) -> str:
    return os.path.splitext(os.path.basename(file))[0].casefold()


def _same_pixels(file: str, others: Sequence[str]) -> bool:
    """Whether one of a few images has the pixels of ``file``: the same picture in another format, or packed anew."""
    try:
        own = pixels.decode(Path(file).read_bytes())
    except (OSError, ValueError):
        return False
    for other in others[:_MOST_TWINS]:
        try:
            if np.array_equal(own, pixels.decode(Path(other).read_bytes())):
                return True
        except (OSError, ValueError):
            continue
    return False


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except (OSError, ValueError):
        return -1


def _digest(file: str) -> bytes | None:
    try:
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except (OSError, ValueError):
        return None


def _pretrained(val: Iterable[str], data: Any) -> int:
    path = data.get("path") if isinstance(data, Mapping) else None
    if not isinstance(path, str) or not path:
        return 0
    # Several folders stand in one text, between spaces; a folder's own name may hold spaces too.
    named = [path] if os.path.exists(path) else path.split(" ")
    folders = [os.path.realpath(one) for one in named if os.path.isdir(one)]
    listed = {_absolute(file) for one in named if one.endswith(".txt") for file in _listed(Path(one))}
    return sum(_absolute(f) in listed or any(_is_below(_absolute(f), folder) for folder in folders) for f in val)


def _is_below(file: str, folder: str) -> bool:
    prefix = folder.rstrip(os.sep) + os.sep
    return file.startswith(prefix) and not any(map(is_hidden, file[len(prefix) :].split(os.sep)))


def _listed(file: Path) -> list[str]:
    """Return what a list of images names, relative to its own folder, as ``pretrain`` reads it."""
    try:
        named = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError):
        return []
    return [str(file.parent / name) for name in named]
