"""Encoded bytes to pixels: the size from the header alone, decoding at a reduced scale, always RGB and upright.

The rule of what each kind of image becomes stands in ``transfer.files.pixels``, which fine-tuning, evaluation and
prediction read with; here are faster ways to the same bytes. ``tests/test_one_decoder.py`` holds the two equal.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import PIL.Image
import simplejpeg
from numpy.typing import NDArray
from PIL import TiffImagePlugin

Image = NDArray[Any]  # uint8; OpenCV types its results more loosely

SMALLEST_SIDE = 8  # pixels; anything smaller is an icon or a damaged file
# Scales, in eighths, at which libjpeg-turbo decodes faster than at full size. 5, 6 and 7 eighths have no vector code:
# 0.89, 1.03 and 1.26 ms where the full size takes 0.61 ms (500 x 375 pixels, one core).
REDUCED_EIGHTHS = (1, 2, 3, 4)


FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF")  # by content; EPS, which starts a program, is not here
MOST_PIXELS = 178_956_970  # Pillow's own bound against images that unpack to all memory
_THROUGH_ALPHA = {"P": "RGBA", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
_TO_RGB = {"1", "L", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_WHOLE = {"I;16", "I;16L", "I;16B", "I;16N"}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF's tags
_WHITE_IS_ZERO, _SIGNED, _LONG = 0, 2, 4
_ADDRESS = re.compile(r" <_io\.BytesIO object at 0x[0-9a-f]+>")


@dataclass(frozen=True)
class JpegHeader:
    """Size as stored, EXIF's orientation: 1 upright, 2-8 mirrored or turned (TIFF 6.0, tag 274), and the colours.

    ``plain`` is whether libjpeg-turbo turns them into RGB, as it does not for CMYK.
    """

    stored_height: int
    stored_width: int
    orientation: int
    plain: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image, pixels."""
        stored = (self.stored_height, self.stored_width)
        return stored if self.orientation < 5 else stored[::-1]


def read_header(encoded: bytes) -> JpegHeader | None:
    """What the header of a JPEG says; None for any other format and for what libjpeg-turbo cannot make sense of."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(encoded)
    except ValueError:
        return None
    return JpegHeader(height, width, _orientation(encoded), colours in ("Gray", "YCbCr", "RGB"))


def decode(encoded: bytes, header: JpegHeader | None = None, eighths: int = 8) -> Image | None:
    """Pixels of an encoded image, by the rule of all stages (docs/checks.md): `transfer.files.pixels` has it too.

    Args:
        encoded: the bytes of an image file.
        header: from `read_header`; None when it is not a JPEG.
        eighths: scale of a JPEG, one of `REDUCED_EIGHTHS` or 8. A request: a JPEG that only Pillow can read, such as
            one with stray bytes between its segments or in CMYK, comes at full size.

    Returns:
        RGB (H, W, 3) uint8, upright; None when `why_not` has a reason.
    """
    if header is not None and header.plain and header.stored_height * header.stored_width <= MOST_PIXELS:
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
    if _is_plain_png(encoded):  # a quarter of Pillow's time on small images, and the same bytes
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is not None:
            return image
    try:
        return _by_pillow(encoded)
    except ValueError:
        return None


def why_not(encoded: bytes) -> str:
    """Why `decode` returns None, in a few words; "" where it does not."""
    try:
        _by_pillow(encoded)
    except ValueError as error:
        return str(error)
    return ""


def read_image(path: Path) -> Image | None:
    """RGB (H, W, 3) uint8, upright; None when the file cannot be read or decoded or is below `SMALLEST_SIDE`."""
    try:
        encoded = path.read_bytes()
    except OSError:
        return None
    image = decode(encoded, read_header(encoded))
    return None if image is None or min(image.shape[:2]) < SMALLEST_SIDE else image


class Refused(ValueError):
    """A sound image that no rule turns into 8-bit RGB."""


def _is_plain_png(encoded: bytes) -> bool:
    """Whether it is a PNG of 8-bit RGB and nothing that would have to be applied or left out."""
    return (
        encoded[:8] == b"\x89PNG\r\n\x1a\n"
        and encoded[24:26] == b"\x08\x02"  # bit depth, colour type
        and int.from_bytes(encoded[16:20], "big") * int.from_bytes(encoded[20:24], "big") <= MOST_PIXELS
        and not any(chunk in encoded for chunk in (b"eXIf", b"tRNS", b"acTL", b"fcTL"))
        and _pillow_takes_chunks(encoded)
    )


def _pillow_takes_chunks(png: bytes) -> bool:
    """Whether Pillow, which refuses a PNG for what is wrong beside its pixels, takes all chunks of this one."""
    names, at = [], 8
    while at + 8 <= len(png):
        names.append(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    others = [name for name in names if name not in (b"IHDR", b"IDAT", b"IEND")]
    if not others:
        return True
    if b"IDAT" not in names or any(name in others for name in names[names.index(b"IDAT") :]):
        return False
    try:
        PIL.Image.open(io.BytesIO(png), formats=("PNG",)).close()
    except Exception:  # as in _by_pillow, which says it
        return False
    return True


def _by_pillow(encoded: bytes) -> Image:
    """Pixels of any image, (H, W, 3) uint8.

    Raises:
        ValueError: no image, a damaged one, or one of a mode without a rule.
    """
    try:
        with PIL.Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Refused(f"{image.width}x{image.height} pixels, more than {MOST_PIXELS}")
            image.load()
            pixels = _rgb(image)
            if isinstance(image, TiffImagePlugin.TiffImageFile):  # Pillow has turned it
                return pixels
            if image.format in ("JPEG", "MPO"):
                return _upright(pixels, _orientation(encoded))
            exif = image.info.get("exif", b"")
            return _upright(pixels, _tiff_orientation(exif.removeprefix(b"Exif\0\0")))
    except Refused:
        raise
    except Exception as error:  # what the readers of damaged files stumble on has no common base
        # Pillow names the buffer by its address, which says nothing and is another one each time.
        reason = " ".join(_ADDRESS.sub("", str(error)).split())[:120]
        raise ValueError(f"{type(error).__name__}: {reason}") from None


def _rgb(image: PIL.Image.Image) -> Image:
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    known = image.mode in _TO_RGB or image.mode in _THROUGH_ALPHA
    if not known and image.mode not in _WHOLE and not (image.mode == "I" and image.format == "PPM"):
        raise Refused(
            f"{image.format} in mode {image.mode}, whose range nothing says: convert it to 8 or 16 bits a channel"
        )
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        raise Refused(f"TIFF of signed numbers in mode {image.mode}, whose range nothing says: convert it to unsigned")
    if image.mode in _THROUGH_ALPHA:  # premultiplied colours come back, a palette's own stay
        return np.asarray(image.convert(_THROUGH_ALPHA[image.mode]).convert("RGB"))
    if known:
        return np.asarray(image.convert("RGB"))
    bits = int(tags.get(_BITS_PER_SAMPLE, (16,))[0])  # 12 bits, packed
    high = (np.asarray(image).astype(np.int64) >> (bits - 8)).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow turns 8 bits, but not these
        high = ~high
    return np.repeat(high[:, :, None], 3, axis=2)


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
        if jpeg[at + 1] == 0xFF:  # any number of these may stand before a marker
            at += 1
            continue
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
            size = 4 if int.from_bytes(tiff[at + 2 : at + 4], order) == _LONG else 2
            value = int.from_bytes(tiff[at + 8 : at + 8 + size], order)
            return value if 1 <= value <= 8 else 1
    return 1
