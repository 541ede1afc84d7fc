"""The images of a new set: copied, or linked to the source's files; 16-bit ones looked at, and reduced where asked."""

from __future__ import annotations

import io
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from transfer.errors import InputError
from transfer.files import pixels
from transfer.importing.objects import LabelledImage
from transfer.importing.tally import Tally

WAYS = ("copy", "hardlink", "symlink")
DEPTHS = range(9, 16)  # bits in use of 16; 8 and 16 need nothing
_SIXTEEN = {"I;16", "I;16L", "I;16B", "I;16N"}


def names(images: Sequence[LabelledImage]) -> list[str]:
    """Return what the images are called in the new set: their own names, below their folders where two share one.

    Raises:
        InputError: one image is listed twice.
    """
    counts = Counter(image.name.name.lower() for image in images)
    own = [i.name.name if counts[i.name.name.lower()] == 1 else i.name.as_posix() for i in images]
    for name, count in Counter(name.lower() for name in own).items():
        if count > 1:
            raise InputError(f"{name}: expected each image once in the labels, found it {count} times; list it once")
    return own


class Copies:
    """A folder that takes images.

    Attributes:
        bits: how many the largest value of all 16-bit images so far needs; 0 without such images.
    """

    def __init__(self, folder: Path, way: str, depth: int | None, tally: Tally) -> None:
        """Prepare.

        Args:
            folder: for the images.
            way: one of ``WAYS``.
            depth: bits in use of 16-bit images, which are then written with 8; None leaves them as they are.
            tally: counts them.
        """
        self.bits = 0
        self._folder, self._way, self._depth, self._tally = folder, way, depth, tally

    def place(self, image: LabelledImage, name: str) -> str:
        """Put an image into the folder; return its name there, which ends in ``.png`` where ``depth`` changed the file.

        Raises:
            InputError: a link cannot be made, or a 16-bit image is damaged or holds more bits than ``depth``.
        """
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (values := _sixteen_bits(image)) is not None:
            self._tally.add("sixteen bits" if self._depth is None else "depth", image.name)
            self.bits = max(self.bits, int(values.max()).bit_length())
            if self._depth is not None:
                name = str(Path(name).with_suffix(".png"))
                _write_eight_bits(values, self._depth, image.file, self._folder / name)
                return name
        if image.embedded is not None:
            target.write_bytes(image.encoded())
        elif self._way == "copy":
            shutil.copyfile(image.file, target)
        elif self._way == "symlink":
            target.symlink_to(image.file.absolute())
        else:
            _link(image.file, target)
        return name


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file.resolve(), target)
    except OSError as error:
        raise InputError(
            f"{file}: expected a file that can be linked to, found {error.strerror}; use --images copy"
        ) from None


def _sixteen_bits(image: LabelledImage) -> np.ndarray | None:
    """Return the values, (H, W) upright, of a grey image of 16 bits; None for any other."""
    source = io.BytesIO(image.encoded()) if image.embedded is not None else image.file
    with Image.open(source, formats=pixels.FORMATS) as opened:
        if opened.mode not in _SIXTEEN:
            return None
        try:
            return np.asarray(ImageOps.exif_transpose(opened)).astype(np.int64)
        except Exception as error:  # what the readers of damaged files stumble on has no common base
            raise InputError(
                f"{image.file} cannot be read: expected an image, found {type(error).__name__}; restore it"
            ) from None


def _write_eight_bits(values: np.ndarray, depth: int, file: Path, target: Path) -> None:
    """Write the highest 8 of ``depth`` bits."""
    largest = int(values.max())
    if largest >> depth:
        raise InputError(f"{file}: expected values of {depth} bits, found {largest}; give a larger --depth")
    Image.fromarray((values >> (depth - 8)).astype(np.uint8)).save(target, "PNG")
