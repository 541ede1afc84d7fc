"""Objects drawn on a photograph at its own size: no frame, no legend, labels in proportion, the file's own format."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transfer.drawing import layout, painting
from transfer.drawing.painting import DIMMED, Canvas
from transfer.drawing.selection import Selection

Pixels = NDArray[np.uint8]

_LINE, _LEAST_LINE = 0.03, 13.0  # a label's height: share of the mean side, and pixels where the image has room
_UNIT = 1 / 620  # of the mean side: what counts as a pixel in the widths of lines
_WIDE = 1.9  # width over height, from which two images stand one below the other
_LEAST_SIDE = 400  # pixels; below that a comparison is enlarged, for its titles would not be readable
_SAVE: dict[str, dict[str, Any]] = {
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "quality": 95},
    ".tif": {"format": "TIFF", "compression": "tiff_lzw"},
    ".tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    ".bmp": {"format": "BMP"},
    ".ppm": {"format": "PPM"},
}


def draw(pixels: Pixels, choice: Selection, colours: dict[str, int]) -> Pixels:
    """Return the image, (H, W, 3), with the objects and the choice's note on it."""
    height, width = pixels.shape[:2]
    canvas = Canvas(width, height)
    axes = canvas.part(0, 0, width, height)
    _draw_choice(axes, choice, colours, width, height, 1.0)
    if choice.note:
        line = min(_line(width, height), width / (0.5 * len(choice.note) + 0.8))
        box = (line / 2, height - 1.5 * line, line * (0.5 * len(choice.note) + 0.32), line)
        painting.draw_note(axes, choice.note, box, canvas.point)
    return canvas.over(pixels)


@dataclass(frozen=True)
class Half:
    """One side of a comparison: its title, and what is drawn below it."""

    title: str
    choice: Selection


def side_by_side(pixels: Pixels, halves: Sequence[Half], colours: dict[str, int]) -> Pixels:
    """Return the image once for each half, with its objects and a title above; wide images one below the other.

    The images keep their own size; small ones are enlarged by a whole factor, so that the titles can be read.
    """
    by = max(1, math.ceil(_LEAST_SIDE / max(pixels.shape[:2])))
    if by > 1:
        size = pixels.shape[1] * by, pixels.shape[0] * by
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    height, width = pixels.shape[:2]
    line = _line(width, height)
    head, gap = math.ceil(1.7 * line), math.ceil(line / 3)
    stacked = width / height > _WIDE
    across, down = (1, len(halves)) if stacked else (len(halves), 1)
    page = np.full((down * (head + height + gap) - gap, across * (width + gap) - gap, 3), 255, np.uint8)
    canvas = Canvas(page.shape[1], page.shape[0])
    for i, half in enumerate(halves):
        x, y = (0, i * (head + height + gap)) if stacked else (i * (width + gap), 0)
        page[y + head : y + head + height, x : x + width] = pixels
        title = min(1.05 * line, width / (0.5 * len(half.title) + 0.4))
        axes = canvas.part(x, y, width, head)
        box = (0.0, (head - title) / 2, float(width), title)
        painting.draw_text(axes, half.title, box, canvas.point, ground="#ffffff", ink="#16191d")
        axes = canvas.part(x, y + head, width, height)
        _draw_choice(axes, half.choice, colours, width, height, by)
    return canvas.over(page)


def _draw_choice(axes: object, choice: Selection, colours: dict[str, int], width: int, height: int, by: float) -> None:
    shapes = layout.lay_out(choice.drawn, colours, by, width, height, _line(width, height))
    unit = max(_UNIT * (width + height) / 2, 0.5)
    opacity = DIMMED if choice.dimmed else 1.0
    painting.draw_shapes(axes, shapes, Canvas.point, unit, opacity)  # type: ignore[arg-type]


def _line(width: int, height: int) -> float:
    """Return a label's height in pixels: in proportion to the image, readable where the image has room for that."""
    return max(_LINE * (width + height) / 2, min(_LEAST_LINE, layout.HIGHEST * min(width, height)))


def encode(pixels: Pixels, suffix: str, profile: bytes | None = None) -> bytes:
    """Return the pixels as a file of the format that ``suffix`` names, PNG for one that cannot be written.

    Args:
        pixels: (H, W, 3), upright: the file has no orientation to be turned by.
        suffix: with its dot, in any case.
        profile: ICC colour profile of the photograph, without which its colours would look otherwise.
    """
    buffer = io.BytesIO()
    how = dict(_SAVE.get(suffix.lower(), {"format": "PNG"}))
    if profile and how["format"] not in ("BMP", "PPM"):
        how["icc_profile"] = profile
    Image.fromarray(pixels).save(buffer, **how)
    return buffer.getvalue()


def colour_profile(file: Path) -> bytes | None:
    """Return an RGB file's ICC profile; None without one, and for other modes, whose pixels are converted."""
    with Image.open(file) as image:
        profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    return profile if isinstance(profile, bytes) else None


def names(files: Sequence[str]) -> list[Path]:
    """Return where each image's drawing goes, below one folder: its own path and format, and never another's.

    A path that leads out of the folder stays inside; of names that then are the same, later ones get a number.
    """
    taken: set[Path] = set()
    places = []
    for file in files:
        path = PurePath(file)
        place = Path(*(part for part in path.parts if part not in (path.anchor, "..")))
        if place.suffix.lower() not in (*_SAVE, ".png"):
            place = place.with_name(f"{place.name}.png")
        stem, number = place.stem, 1
        while place in taken:
            number += 1
            place = place.with_name(f"{stem}-{number}{place.suffix}")
        taken.add(place)
        places.append(place)
    return places
