"""Images dealt out to train, val and test, whole groups at a time."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transfer.errors import InputError
from transfer.files import pixels
from transfer.importing import likeness
from transfer.importing.objects import LabelledImage
from transfer.progress import over

NAMES = ("train", "val", "test")
_PREFIX = "prefix:"


@dataclass(frozen=True)
class Request:
    """How a set is to be split.

    Attributes:
        shares: split -> its share, 0-1, in the order of ``NAMES``; they sum to 1.
        group_by: "folder", "likeness" or "prefix:REGEX"; None for image by image.
        seed: decides which images, or groups of one size, go where.
    """

    shares: dict[str, float]
    group_by: str | None = None
    seed: int = 0


def parse(text: str, group_by: str | None, seed: int) -> Request:
    """Return the request that ``80/20`` or ``70/15/15``, and a way to group, make.

    Raises:
        InputError: no two or three shares that sum to 100, or no way to group.
    """
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(n > 0 for n in numbers) or not math.isclose(sum(numbers), 100):
        raise InputError(
            "--split: expected shares of train and val, or of train, val and test, that sum to 100, such as 80/20, "
            f"found {text}; correct it"
        )
    if group_by is not None and group_by not in ("folder", "likeness"):
        _pattern(group_by)
    return Request({name: n / 100 for name, n in zip(NAMES, numbers, strict=False)}, group_by, seed)


def _pattern(group_by: str) -> re.Pattern[str]:
    if not group_by.startswith(_PREFIX) or group_by == _PREFIX:
        raise InputError(
            f"--group-by: expected folder, likeness or prefix:REGEX, found {group_by}; choose one of these"
        )
    try:
        return re.compile(group_by.removeprefix(_PREFIX))
    except re.error as error:
        raise InputError(
            f"--group-by: expected a regular expression, found {error} in {group_by}; correct it"
        ) from None


@dataclass(frozen=True)
class Split:
    """Images dealt out.

    Attributes:
        parts: split -> numbers of its images, rising.
        groups: numbers of the images that stayed together, the largest group first.
        nearest: the most alike pair of a training image and another, and their distance; None unless by likeness.
    """

    parts: dict[str, list[int]]
    groups: list[list[int]]
    nearest: tuple[int, int, float] | None = None


def split(images: Sequence[LabelledImage], request: Request) -> Split:
    """Deal images out as requested.

    Images whose files have the same bytes are always of one group.

    Raises:
        InputError: too few groups for the splits, or an image that the prefix does not match.
    """
    descriptors = _descriptors(images) if request.group_by == "likeness" else []
    groups = _joined([_grouped(images, request.group_by, descriptors), _same_bytes(images)], len(images))
    parts = deal(groups, request.shares, request.seed)
    if not all(parts.values()):
        way = f" by {request.group_by}" if request.group_by else ""
        largest = len(groups[0]) if groups else 0
        raise InputError(
            f"--split: expected groups{way} for {', '.join(parts)}, found {len(groups)} of {len(images)} images, the "
            f"largest of {largest}; group in another way, or split into fewer parts"
        )
    return Split(parts, groups, _nearest(parts, descriptors) if descriptors else None)


def _nearest(parts: Mapping[str, Sequence[int]], descriptors: Sequence[likeness.Floats]) -> tuple[int, int, float]:
    train, rest = parts["train"], [k for name, members in parts.items() if name != "train" for k in members]
    a, b, distance = likeness.nearest([descriptors[k] for k in train], [descriptors[k] for k in rest])
    return train[a], rest[b], distance


def deal(groups: Sequence[Sequence[int]], shares: Mapping[str, float], seed: int) -> dict[str, list[int]]:
    """Deal whole groups out: each to the split that lacks most of its share; ``seed`` orders groups of one size.

    Args:
        groups: numbers of images, each in one group.
        shares: split -> share, 0-1.
        seed: 0 or more.
    """
    total = sum(map(len, groups))
    order = np.random.default_rng(seed).permutation(len(groups))
    ordered = sorted(order.tolist(), key=lambda g: -len(groups[g]))
    parts: dict[str, list[int]] = {name: [] for name in shares}
    for g in ordered:
        lacking = max(shares, key=lambda name: shares[name] - len(parts[name]) / total)
        parts[lacking] += groups[g]
    return {name: sorted(members) for name, members in parts.items()}


def _grouped(
    images: Sequence[LabelledImage], group_by: str | None, descriptors: Sequence[likeness.Floats]
) -> list[list[int]]:
    if group_by is None:
        return []
    if group_by == "folder":
        return _by_key(images, lambda image: image.file.parent)
    if group_by == "likeness":
        return likeness.group([(image.height, image.width) for image in images], descriptors)
    pattern = _pattern(group_by)
    other = [image.name.name for image in images if not pattern.match(image.name.name)]
    if other:
        raise InputError(
            f"--group-by: expected file names that begin with {pattern.pattern}, found {len(other)} that do not "
            f"(first: {other[0]}); correct it"
        )

    def prefix(image: LabelledImage) -> Hashable:
        match = pattern.match(image.name.name)
        assert match is not None
        return match.groups() or match[0]

    return _by_key(images, prefix)


def _by_key(images: Sequence[LabelledImage], key: Callable[[LabelledImage], Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for i, image in enumerate(images):
        groups.setdefault(key(image), []).append(i)
    return list(groups.values())


def _descriptors(images: Sequence[LabelledImage]) -> list[likeness.Floats]:
    sizes = Counter((image.height, image.width) for image in images)
    if (most := max(sizes.values())) > likeness.MOST:
        raise InputError(
            f"--group-by likeness: expected at most {likeness.MOST} images of one size, as every pair is compared, "
            f"found {most}; group by folder or prefix"
        )
    return [_descriptor(image) for image in over(images, "comparing images", "images")]


def _descriptor(image: LabelledImage) -> likeness.Floats:
    try:
        return likeness.descriptor(pixels.decode(image.encoded()))
    except ValueError as error:
        raise InputError(f"{image.file} cannot be read: expected an image, found {error}; restore it") from None


def _same_bytes(images: Sequence[LabelledImage]) -> list[list[int]]:
    """Return groups of images with the same bytes; only files of one length are read."""
    lengths = _by_key(images, lambda image: ("embedded",) if image.embedded else image.file.stat().st_size)
    groups = []
    for alike in lengths:
        if len(alike) > 1:
            own = _by_key([images[i] for i in alike], lambda image: hashlib.sha256(image.encoded()).digest())
            groups += [[alike[i] for i in group] for group in own if len(group) > 1]
    return groups


def _joined(several: Sequence[Sequence[Sequence[int]]], count: int) -> list[list[int]]:
    """Return the groups in which each group of each way to group is whole, the largest first."""
    first = list(range(count))  # of each number, another of its group, itself for the least

    def root(i: int) -> int:
        while first[i] != i:
            i = first[i]
        return i

    for groups in several:
        for group in groups:
            for other in group[1:]:
                a, b = sorted((root(group[0]), root(other)))
                first[b] = a
    joined: dict[int, list[int]] = {}
    for i in range(count):
        joined.setdefault(root(i), []).append(i)
    return sorted(joined.values(), key=lambda g: (-len(g), g[0]))
