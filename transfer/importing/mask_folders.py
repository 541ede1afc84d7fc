"""Folders of masks: one file an object, or one label image for all objects of an image.

* ``ID/images/NAME.png`` and one file an object in ``ID/masks/``, nonzero inside, as in the Data Science Bowl 2018;
* ``images/NAME.*`` and ``masks/NAME.png``, where each value, or each colour, is an object and 0, or black, is none;
* ``NAME.*`` and ``NAME_masks.png`` side by side, as Cellpose writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transfer.errors import InputError
from transfer.files.image_files import is_hidden
from transfer.importing import shapes
from transfer.importing.images import Images, split_of
from transfer.importing.label_image import apart, read_label_image
from transfer.importing.objects import Choices, DrawnObject, LabelledImage, LabelledSet
from transfer.importing.tally import Tally
from transfer.progress import over

MASKS = ("masks", "mask", "labels", "label", "instances", "instance_masks", "gt", "annotations")
_IMAGES = ("images", "image", "imgs", "img", "inputs")
_ENDINGS = ("", "_masks", "_mask", "_labels", "_label", "_instances", "_seg", "_cp_masks")
_LOSSY = (".jpg", ".jpeg")


def has_masks(files: list[Path], source: Path) -> bool:
    """Whether some of the images below a folder look like masks of others."""
    return any(_is_mask(file, source) for file in files)


def _is_mask(file: Path, source: Path) -> bool:
    folders = [part.lower() for part in file.relative_to(source).parts[:-1]]
    return any(folder in MASKS for folder in folders) or any(file.stem.endswith(end) for end in _ENDINGS[1:])


def read(source: Path, choices: Choices, tally: Tally) -> LabelledSet:
    """Read a folder of masks.

    Raises:
        InputError: no pair of image and mask, or a mask that is damaged, of another size, lossy, or whose one value may
            be one object or several.
    """
    images = Images(source, tally, choices)
    masks = [file for file in images.files if _is_mask(file, source)]
    pictures = [file for file in images.files if not _is_mask(file, source)]
    by_key: dict[tuple[Path, str], list[Path]] = {}
    for file in masks:
        for key in _keys(file):
            by_key.setdefault(key, []).append(file)
    single_values = _Single()
    listed = []
    for file in over(pictures, "reading masks", "images"):
        own = _own_masks(file)
        files = sorted(own) if own is not None else by_key.get((_home(file), file.stem), [])
        if not files and own is None:
            tally.add("unlabelled", file.relative_to(source))
            continue
        width, height = images.measure(file, None)
        name = Path(file.name) if own is not None else file.relative_to(source)
        image = LabelledImage(file, name, width, height, split=split_of(file.relative_to(source)))
        if width:
            image.objects.extend(_objects(files, own is not None, image, choices, single_values))
        listed.append(image)
    if not listed:
        raise InputError(
            f"{source}: expected images and masks of the same names, found {len(pictures)} images and {len(masks)} "
            "masks that do not fit; name them alike"
        )
    images.refuse(sum(len(image.objects) for image in listed))
    single_values.refuse(source, choices)
    return LabelledSet(listed, [choices.category])


def _home(file: Path) -> Path:
    """Return the folder that an image's or mask's folder belongs to: the path without ``images`` or ``masks``."""
    return Path(*(part for part in file.parent.parts if part.lower() not in (*_IMAGES, *MASKS)))


def _keys(mask: Path) -> Iterator[tuple[Path, str]]:
    for end in _ENDINGS:
        if mask.stem.endswith(end):
            yield _home(mask), mask.stem.removesuffix(end) if end else mask.stem


def _own_masks(image: Path) -> list[Path] | None:
    """Return the masks of an image that is alone in ``ID/images`` beside ``ID/masks``; None in another layout."""
    folder = image.parent.parent / "masks"
    if image.parent.name != "images" or not folder.is_dir():
        return None
    if sum(not is_hidden(file.name) for file in image.parent.iterdir()) != 1:
        return None
    files = [file for file in folder.iterdir() if file.is_file() and not is_hidden(file.name)]
    return None if len(files) == 1 and files[0].stem == image.stem else files


class _Single:
    """Label images with one value, which may be one object or a foreground of several."""

    def __init__(self) -> None:
        self.files = 0
        self.several: list[Path] = []  # those with more than one value
        self.scattered: list[Path] = []  # those of one value whose areas lie apart

    def refuse(self, source: Path, choices: Choices) -> None:
        if choices.areas is None and not self.several and self.scattered:
            raise InputError(
                f"{source}: expected masks with a value for each object, found one value in all {self.files}, in "
                f"{len(self.scattered)} of them in areas apart (first: {self.scattered[0].name}); say which they are: "
                "--areas apart takes each area as an object, --areas joined all of an image as one"
            )


def _objects(
    files: list[Path], one_each: bool, image: LabelledImage, choices: Choices, single: _Single
) -> Iterator[DrawnObject]:
    for file in files:
        if file.suffix.lower() in _LOSSY:
            raise InputError(
                f"{file}: expected a mask in PNG, TIFF or BMP, found JPEG, which changes values; convert it"
            )
        labels = read_label_image(file)
        if labels.shape != (image.height, image.width):
            raise InputError(
                f"{file}: expected a mask of {image.width}x{image.height}, found "
                f"{labels.shape[1]}x{labels.shape[0]}; correct it"
            )
        if one_each:
            yield _object(labels != 0, file.name, choices)
            continue
        values = np.unique(labels)
        values = values[values != 0]
        if len(values) == 1:
            parts = list(apart(labels != 0))
            if len(parts) > 1:
                single.scattered.append(file)
        elif len(values) > 1:
            single.several.append(file)
        single.files += 1
        for value in values:
            own = labels == value
            for part in apart(own) if choices.areas == "apart" else [own]:
                yield _object(part, f"{file.name}: value {value}", choices)


def _object(mask: NDArray[Any], where: str, choices: Choices) -> DrawnObject:
    return DrawnObject(choices.category, where, code=shapes.encode(mask))
