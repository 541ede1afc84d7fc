"""Encoded bytes to pixels, by the one rule of all stages: always RGB, 8 bits, upright, or refused by the mode.

``pretrain.data.pixels`` has the same rule and takes faster ways to the same bytes; ``tests/test_one_decoder.py`` holds
the two equal. The rule:

* 8 bits are taken as they are, fewer are spread over 0-255; of 16 bits, grey or colour, the high byte: full range.
* Grey becomes three equal channels, also where a TIFF counts down from white; a palette its colours, CMYK and YCbCr
  what Pillow converts them to.
* Transparency is left out: the colours under it stay.
* EXIF's orientation (tag 274) is applied. Annotations are of the upright image, as every viewer shows it.
* Of several frames or pages the first.
* Anything else, 32-bit numbers above all, is refused: nothing says which range they have.
"""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from transfer.errors import InputError

Pixels = NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF")  # by content; EPS, which starts a program, is not here
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_PIXELS = 178_956_970  # Pillow's own bound against images that unpack to all memory
_THROUGH_ALPHA = {"P": "RGBA", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
_TO_RGB = {"1", "L", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", *_THROUGH_ALPHA}
_WHOLE = {"I;16", "I;16L", "I;16B", "I;16N"}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF's tags
_WHITE_IS_ZERO, _SIGNED, _LONG = 0, 2, 4
_ADDRESS = re.compile(r" <_io\.BytesIO object at 0x[0-9a-f]+>")


def decode(encoded: bytes) -> Pixels:
    """Return the pixels of an image file's bytes, RGB (H, W, 3) uint8, upright.

    Raises:
        ValueError: no image, a damaged one, or one of a mode without a rule; the text is a noun phrase.
    """
    try:
        with _opened(encoded) as image:
            image.load()
            return _rgb(image, encoded)
    except Refused:
        raise
    except Exception as error:  # what the readers of damaged files stumble on has no common base
        raise ValueError(_reason(error)) from None


def _reason(error: Exception) -> str:
    # Pillow names the buffer by its address, which says nothing and is another one each time.
    return f"{type(error).__name__}: {' '.join(_ADDRESS.sub('', str(error)).split())[:120]}"


class Refused(ValueError):
    """A sound image that no rule turns into 8-bit RGB."""


def read(file: str | Path, what: str = "an image") -> Pixels:
    """Return the pixels of an image file, as ``decode`` does.

    Raises:
        InputError: it is missing, damaged, or of a mode without a rule.
    """
    try:
        return decode(Path(file).read_bytes())
    except FileNotFoundError:
        raise InputError(f"{file} is missing: expected {what}, found nothing; restore it") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: expected {what}, found {error.strerror}; check it") from None
    except ValueError as error:
        raise InputError(f"{file} cannot be read: expected {what}, found {error}; restore or convert it") from None


def sizes(encoded: bytes) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (width, height) of the upright image and as stored, from the header alone; refuses by the mode too.

    Args:
        encoded: the file's bytes, or as many of its first as hold the header.

    Raises:
        ValueError: as ``decode``.
    """
    try:
        with _opened(encoded) as image:
            _check_mode(image)
            if isinstance(image, TiffImagePlugin.TiffImageFile):  # Pillow turns these when it loads them
                orientation = int(image.getexif().get(0x0112, 1))
                stored = image.tag_v2[256], image.tag_v2[257]
            else:
                orientation, stored = _orientation(image, encoded), image.size
    except Refused:
        raise
    except Exception as error:  # as in decode
        raise ValueError(_reason(error)) from None
    if encoded[:8] == PNG_SIGNATURE and orientation == 1:
        orientation = late_orientation(encoded)
    upright = (stored[1], stored[0]) if orientation in (5, 6, 7, 8) else (stored[0], stored[1])
    return upright, (stored[0], stored[1])


def _opened(encoded: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise Refused(f"{image.width}x{image.height} pixels, more than {MOST_PIXELS}")
    return image


def _check_mode(image: Image.Image) -> None:
    """Raise Refused for a mode without a rule."""
    sixteen = image.mode in _WHOLE or (
        image.mode == "I" and image.format == "PPM"
    )  # PGM's 16 bits are spread by Pillow
    if image.mode not in _TO_RGB and not sixteen:
        raise Refused(
            f"{image.format} in mode {image.mode}, whose range nothing says: convert it to 8 or 16 bits a channel"
        )
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _SIGNED in image.tag_v2.get(_SAMPLE_FORMAT, ()):
        raise Refused(f"TIFF of signed numbers in mode {image.mode}, whose range nothing says: convert it to unsigned")


def _rgb(image: Image.Image, encoded: bytes) -> Pixels:
    _check_mode(image)
    if image.mode in _TO_RGB:
        if image.mode in _THROUGH_ALPHA:  # premultiplied colours come back, a palette's own stay
            through = image.convert(_THROUGH_ALPHA[image.mode])
        else:
            through = image
        pixels = np.asarray(through.convert("RGB"))
    else:
        bits, white_is_zero = 16, False
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            bits = int(image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0])  # 12 bits, packed
            white_is_zero = image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # Pillow turns 8 bits, but not these
        high = (np.asarray(image).astype(np.int64) >> (bits - 8)).astype(np.uint8)
        high = ~high if white_is_zero else high
        pixels = np.repeat(high[:, :, None], 3, axis=2)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return pixels
    return upright(pixels, _orientation(image, encoded))


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Return ``pixels`` (H, W, 3) mirrored and turned as EXIF's ``orientation``, 1-8, says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _orientation(image: Image.Image, encoded: bytes) -> int:
    """EXIF's orientation, 1 where it says none; what XMP says beside it is left alone, as browsers do."""
    if image.format in ("JPEG", "MPO"):
        return jpeg_orientation(encoded)
    exif = image.info.get("exif", b"")
    return tiff_orientation(exif.removeprefix(b"Exif\0\0")) if isinstance(exif, bytes) else 1


def jpeg_orientation(jpeg: bytes) -> int:
    """EXIF's orientation of a JPEG, 1 where it says none."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:  # up to the start of the scan
        if jpeg[at + 1] == 0xFF:  # any number of these may stand before a marker
            at += 1
            continue
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == 0xE1 and jpeg[at + 4 : at + 10] == b"Exif\0\0":
            return tiff_orientation(jpeg[at + 10 : at + 2 + length])
        at += 2 + length
    return 1


def tiff_orientation(tiff: bytes) -> int:
    """Tag 274 of the first directory of EXIF's TIFF, 1 where it is missing or none of 1-8."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    start = int.from_bytes(tiff[4:8], order)
    entries = int.from_bytes(tiff[start : start + 2], order)
    for at in range(start + 2, min(start + 2 + 12 * entries, len(tiff)), 12):
        if int.from_bytes(tiff[at : at + 2], order) == 0x0112:
            size = 4 if int.from_bytes(tiff[at + 2 : at + 4], order) == _LONG else 2
            value = int.from_bytes(tiff[at + 8 : at + 8 + size], order)
            return value if 1 <= value <= 8 else 1
    return 1


def late_orientation(png: bytes) -> int:
    """EXIF's orientation in a chunk behind a PNG's pixels, which Pillow reads with them; 1 where there is none.

    Args:
        png: the file's bytes, or its first and its last ones.
    """
    at = png.rfind(b"eXIf")
    length = int.from_bytes(png[at - 4 : at], "big")
    content = png[at + 4 : at + 4 + length]
    whole = (
        at > 0 and zlib.crc32(png[at : at + 4 + length]).to_bytes(4, "big") == png[at + 4 + length : at + 8 + length]
    )
    return tiff_orientation(content) if whole else 1
