"""Encoded bytes to pixels: the size from the header alone, decoding at a reduced scale, always RGB and upright."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

Image = NDArray[Any]  # uint8; OpenCV types its results more loosely

SMALLEST_SIDE = 8  # pixels; anything smaller is an icon or a damaged file
# Scales, in eighths, at which libjpeg-turbo decodes faster than at full size. 5, 6 and 7 eighths have no vector code:
# 0.89, 1.03 and 1.26 ms where the full size takes 0.61 ms (500 x 375 pixels, one core).
REDUCED_EIGHTHS = (1, 2, 3, 4)


@dataclass(frozen=True)
class JpegHeader:
    """Size as stored, and EXIF's orientation: 1 upright, 2-8 mirrored or turned (TIFF 6.0, tag 274)."""

    stored_height: int
    stored_width: int
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image, pixels."""
        stored = (self.stored_height, self.stored_width)
        return stored if self.orientation < 5 else stored[::-1]


def read_header(encoded: bytes) -> JpegHeader | None:
    """What the header of a JPEG says; None for any other format and for what libjpeg-turbo cannot make sense of."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(encoded)
    except ValueError:
        return None
    return JpegHeader(height, width, _orientation(encoded))


def decode(encoded: bytes, header: JpegHeader | None = None, eighths: int = 8) -> Image | None:
    """Pixels of an encoded image.

    Args:
        encoded: the bytes of an image file.
        header: from `read_header`; None when it is not a JPEG.
        eighths: scale of a JPEG, one of `REDUCED_EIGHTHS` or 8. A request: a JPEG that only OpenCV can read, such as
            one with stray bytes between its segments, comes at full size.

    Returns:
        RGB (H, W, 3) uint8, upright; None when the bytes cannot be decoded or end too early.
    """
    if header is not None:
        try:
            pixels = simplejpeg.decode_jpeg(
                encoded,
                min_height=-(-header.stored_height * eighths // 8),
                min_width=-(-header.stored_width * eighths // 8),
            )
            return _upright(pixels, header.orientation)
        except ValueError as error:
            if "Premature end" in str(error):
                return None
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_image(path: Path) -> Image | None:
    """RGB (H, W, 3) uint8, upright; None when the file cannot be read or decoded or is below `SMALLEST_SIDE`."""
    try:
        encoded = path.read_bytes()
    except OSError:
        return None
    image = decode(encoded, read_header(encoded))
    return None if image is None or min(image.shape[:2]) < SMALLEST_SIDE else image


def _upright(image: Image, orientation: int) -> Image:
    if orientation in (5, 7):
        image = cv2.transpose(image)
    if orientation in (2, 4, 3, 7):
        image = cv2.flip(image, {2: 1, 4: 0, 3: -1, 7: -1}[orientation])
    if orientation in (6, 8):
        image = cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE if orientation == 6 else cv2.ROTATE_90_COUNTERCLOCKWISE)
    return image


def _orientation(jpeg: bytes) -> int:
    """EXIF's orientation of a JPEG, 1 where it says none."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:  # up to the start of the scan
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == 0xE1 and jpeg[at + 4 : at + 10] == b"Exif\0\0":
            return _tiff_orientation(jpeg[at + 10 : at + 2 + length])
        at += 2 + length
    return 1


def _tiff_orientation(tiff: bytes) -> int:
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    start = int.from_bytes(tiff[4:8], order)
    entries = int.from_bytes(tiff[start : start + 2], order)
    for at in range(start + 2, min(start + 2 + 12 * entries, len(tiff)), 12):
        if int.from_bytes(tiff[at : at + 2], order) == 0x0112:
            value = int.from_bytes(tiff[at + 8 : at + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1
