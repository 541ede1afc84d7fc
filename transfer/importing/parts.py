"""The splits of a set that is read: the source's own, or new ones, and what an honest reader should know of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from transfer.data import leaks
from transfer.importing import splitting
from transfer.importing.objects import LabelledImage, LabelledSet
from transfer.importing.tally import Tally

WHOLE = "annotations"  # what the one part of a set without splits is called
_LARGE_GROUP = 0.5  # of all images
_ORDER = {name: i for i, name in enumerate(splitting.NAMES)}


def parts_of(
    data: LabelledSet, request: splitting.Request | None, tally: Tally
) -> tuple[dict[str, list[LabelledImage]], list[str]]:
    """Return split -> images by name, and what there is to say of the groups."""
    images = sorted(data.images, key=lambda image: image.name.as_posix())
    if request is None:
        names = {image.split for image in images}
        if names == {None}:
            return {WHOLE: images}, []
        parts: dict[str, list[LabelledImage]] = {}
        for name in sorted(map(_part_name, names), key=lambda name: (_ORDER.get(name, len(_ORDER)), name)):
            parts[name] = [image for image in images if _part_name(image.split) == name]
        return parts, []
    for image in images:
        if image.split is not None:
            tally.add("pooled", image.name)
    done = splitting.split(images, request)
    chosen = {name: [images[i] for i in members] for name, members in done.parts.items()}
    return chosen, _about_groups(images, done, request)


def _part_name(split: str | None) -> str:
    return re.sub(r"[^\w.-]", "_", split) if split else "other"


def _about_groups(images: Sequence[LabelledImage], done: splitting.Split, request: splitting.Request) -> list[str]:
    if request.group_by is None:
        return []
    largest = len(done.groups[0])
    notes = [f"{len(done.groups)} groups by {request.group_by}, the largest of {largest} of {len(images)} images"]
    if largest > _LARGE_GROUP * len(images):
        notes.append("more than half of the images are one group: the shares are what that leaves")
    if done.nearest is not None:
        a, b, distance = done.nearest
        pair = f"{images[a].name.name} (train) and {images[b].name.name}"
        notes.append(f"the most alike pair across the split: {pair}, {distance:.2f} apart on a scale of 0 to 1.41")
    return notes


def leak_lines(parts: dict[str, list[LabelledImage]]) -> list[str]:
    """Return a line for each kind of val or test images that are training images as well."""
    if "train" not in parts:
        return []
    files = {name: [str(image.file) for image in members] for name, members in parts.items()}
    lines = []
    for name, own in files.items():
        if name != "train":
            lines += [
                line.replace("val images", f"{name} images") for line in leaks.lines(leaks.find(files["train"], own))
            ]
    return lines
