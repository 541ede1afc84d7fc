"""Label images: one whole number a pixel, whatever the file keeps them in."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transfer.errors import InputError
from transfer.files.pixels import FORMATS, MOST_PIXELS

_COLOURS = {"RGB", "RGBA", "CMYK", "YCbCr"}
_TOUCHING = np.ones((3, 3))  # pixels that touch at a corner are of one area


def read_label_image(file: Path) -> NDArray[Any]:
    """Return an image's values, (H, W), whole numbers or booleans.

    Grey values and a palette's indices are taken as they are, colours as one number each.

    Black is 0 also of colours; transparency is left out.

    Raises:
        InputError: it is missing, damaged, or holds numbers that are not whole.
    """
    try:
        with Image.open(io.BytesIO(file.read_bytes()), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels, more than {MOST_PIXELS}")
            if image.mode in _COLOURS:
                values = np.asarray(image.convert("RGB"))
            else:
                values = np.asarray(image)
    except FileNotFoundError:
        raise InputError(f"{file} is missing: expected a mask, found nothing; restore it") from None
    except Exception as error:  # what the readers of damaged files stumble on has no common base
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{file} cannot be read: expected a mask, found {type(error).__name__} {reason}; restore or convert it"
        ) from None
    if values.ndim == 3 and values.shape[2] >= 3:
        channels = values.astype(np.int64)
        return (channels[..., 0] << 16) | (channels[..., 1] << 8) | channels[..., 2]
    if values.ndim == 3:  # grey with transparency
        values = values[..., 0]
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.floor(values)).all()):
        raise InputError(f"{file}: expected whole numbers as values, found fractions; write each object as one number")
    return values.astype(np.int64) if values.dtype.kind == "f" else values


def apart(mask: NDArray[Any]) -> Iterator[NDArray[np.bool_]]:
    """Yield the areas of a mask, (H, W), that do not touch each other, each as a mask of the whole."""
    from scipy import ndimage  # slow to import, and not needed for most sets

    numbers, count = ndimage.label(mask, structure=_TOUCHING)
    for number in range(1, count + 1):
        yield numbers == number
