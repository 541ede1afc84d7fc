"""WebDataset shards: tar files of images, indexed once by their headers and then read at any place.

A sample's name ends at the first dot of its file name, the rest is its kind (WebDataset's rule); of each sample the
image is taken, and nothing else is read. An index instead of a stream keeps what folders have: one order for all
workers and ranks, and a restart at any iteration.
"""

from __future__ import annotations

import hashlib
import logging
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pretrain.data.image_files import is_hidden
from pretrain.data.packed_strings import PackedStrings
from pretrain.errors import InputError
from pretrain.progress import progress

log = logging.getLogger("pretrain")

_KINDS = 6  # kinds of members that a line names


class TarShards:
    """A `pretrain.data.sources.Source` of images in tar files.

    Args:
        described: what the user named.
        paths: the tar files, uncompressed.
        extensions: which members are images, such as ``.jpg``.

    Raises:
        InputError: a file is missing, compressed, cut short or no tar file, or there is no image in any of them.
    """

    def __init__(self, described: str, paths: Sequence[Path], extensions: Sequence[str]) -> None:
        self.described, self.paths = described, list(paths)
        names, places, counts, digest = [], [], [], hashlib.sha256()
        passed: Counter[str] = Counter()
        for number, path in enumerate(progress(self.paths, "indexing shards", unit="shard")):
            members = list(_images(path, extensions, passed))
            names += [name for name, _, _ in members]
            places += [(number, start, size) for _, start, size in members]
            counts.append(len(members))
            digest.update(f"{path.name}\0{path.stat().st_size}\0{len(members)}\n".encode())
        if not names:
            raise InputError(
                f"--data {described}: expected samples with an image (NAME{extensions[0]}, ...) in {len(self.paths)} "
                "shards, found none"
            )
        if passed:
            kinds = ", ".join(f"{count} {kind}" for kind, count in passed.most_common(_KINDS))
            more = f" and {len(passed) - _KINDS} more kinds" if len(passed) > _KINDS else ""
            log.info(
                "%d shards: %d images; passed over %d other members (%s%s)",
                *(len(self.paths), len(names), passed.total(), kinds, more),
            )
        self.fingerprint = digest.hexdigest()[:16]
        self.shards: Sequence[int] | None = tuple(counts)
        self._names, self._places = PackedStrings(names), np.array(places, dtype=np.int64)

    def __len__(self) -> int:
        """The number of images."""
        return len(self._names)

    def name(self, k: int) -> str:
        """Shard and member of image k."""
        return f"{self.paths[self._places[k, 0]]}/{self._names[k]}"

    def read(self, k: int) -> bytes:
        """The bytes of image k."""
        number, start, size = self._places[k].tolist()
        with self.paths[number].open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(size)


def is_pattern(path: Path) -> bool:
    """Whether it stands for several shards, such as ``train-{000..146}.tar``."""
    return "{" in path.name and path.suffix == ".tar"


def expand_shards(path: Path) -> list[Path]:
    """The tar files that a path or pattern such as ``train-{000..146}.tar`` stands for.

    Raises:
        InputError: a shard that is named is missing.
    """
    named = [path]
    if is_pattern(path):
        from webdataset.shardlists import expand_urls  # it imports much, and few need it

        named = [Path(url) for url in expand_urls(str(path))]
    missing = [p for p in named if not p.is_file()]
    if missing:
        raise InputError(
            f"--data {path}: expected {len(named)} shards, found {len(missing)} of them missing ({missing[0]}); "
            "correct the pattern or fetch them"
        )
    return named


def _images(path: Path, extensions: Sequence[str], passed: Counter[str]) -> Iterator[tuple[str, int, int]]:
    """(name, first byte, bytes) of each sample's first image; the kinds of all other members are counted."""
    size, last = path.stat().st_size, None
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                folder, slash, file_name = member.name.rpartition("/")
                sample, dot, kind = file_name.partition(".")
                key = f"{folder}{slash}{sample}"
                why = _why_passed(member, f"{dot}{kind}".lower(), extensions)
                if why or key == last:
                    if not member.isdir():
                        passed[why or "a sample's second image"] += 1
                    continue
                if member.offset_data + member.size > size:
                    raise InputError(f"{path}: expected {member.name} to end in it, found it cut short; fetch it again")
                yield member.name, member.offset_data, member.size
                last = key
    except tarfile.TarError as error:
        raise InputError(
            f"{path}: expected an uncompressed tar file, found something else ({error}); unpack .tar.gz first"
        ) from None


def _why_passed(member: tarfile.TarInfo, kind: str, extensions: Sequence[str]) -> str:
    """Why a member is not taken: hidden, a link, or its kind; "" for an image."""
    if any(is_hidden(part) for part in member.name.split("/") if part not in ("", ".")):
        return "hidden"
    if not member.isfile():
        return "links and devices"
    return "" if kind in extensions else kind or "without a suffix"
