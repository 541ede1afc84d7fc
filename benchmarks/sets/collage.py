"""One picture of photographed cut-outs on a photograph, and the exact mask of what is seen of each.

Cut, Paste and Learn (Dwibedi, Misra and Hebert, ICCV 2017): masks cost nothing where the objects come with their own
alpha. The draws, their order and every resampling filter are part of the data set: a change in any of them changes
all pictures of all seeds.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transfer.errors import InputError

TURN = 20.0  # largest turn of an object, degrees
SCALE = (0.18, 0.6)  # longer side of the turned object, as a share of the picture's side
GAIN = (0.7, 1.25)  # of an object's brightness
OUTSIDE = 6  # an object may stick out by a sixth of its side
OPAQUE = 127  # alpha above this belongs to the object
LEAST_PIXELS, LEAST_SHARE = 40, 0.35  # of an object must be seen, or it counts as background


@dataclass(frozen=True)
class Sources:
    """Where the pictures of one split come from: every list sorted by name, because draws choose by position."""

    backgrounds: tuple[Path, ...]
    cutouts: dict[str, tuple[Path, ...]]  # category -> files


@dataclass(frozen=True)
class Collage:
    """A picture and its objects.

    Attributes:
        image: (S, S, 3) uint8, RGB.
        categories: N names, in the order of pasting.
        masks: (N, S, S) bool, the visible part of each object, no pixel in two of them.
    """

    image: NDArray[np.uint8]
    categories: list[str]
    masks: NDArray[np.bool_]


def sources(root: Path, split: str) -> Sources:
    """The files of one split below ``root``: backgrounds/SPLIT/*.jpg and cutouts/SPLIT/CATEGORY/*.png.

    Raises:
        InputError: there are no backgrounds or no cut-outs.
    """
    backgrounds = tuple(sorted((root / "backgrounds" / split).glob("*.jpg")))
    cutouts: dict[str, list[Path]] = {}
    for path in sorted((root / "cutouts" / split).glob("*/*.png")):
        cutouts.setdefault(path.parent.name, []).append(path)
    if not backgrounds or not cutouts:
        raise InputError(
            f"{root}: expected backgrounds/{split}/*.jpg and cutouts/{split}/CATEGORY/*.png, found {len(backgrounds)} "
            f"and {sum(map(len, cutouts.values()))} files; make the folder with python -m benchmarks.sets.cutouts"
        )
    return Sources(backgrounds, {name: tuple(cutouts[name]) for name in sorted(cutouts)})


def compose(key: str, sources: Sources, size: int, max_objects: int) -> Collage:
    """Draw one picture.

    Args:
        key: decides everything that is random here.
        sources: what may be drawn.
        size: S, the picture's side, pixels.
        max_objects: 1 to this many are pasted; a later one may hide an earlier one.

    Raises:
        InputError: a file is no image that Pillow can read.
    """
    rng = random.Random(key)
    canvas = _background(rng, sources, size)
    owner = np.full((size, size), -1)
    categories, full = [], []
    for number in range(rng.randint(1, max_objects)):
        categories.append(rng.choice(list(sources.cutouts)))
        mask = _paste(rng, canvas, _read(rng.choice(sources.cutouts[categories[-1]]), "RGBA"))
        owner[mask] = number
        full.append(int(mask.sum()))
    masks = [owner == number for number in range(len(full))]
    visible = [k for k, mask in enumerate(masks) if mask.sum() >= max(LEAST_PIXELS, LEAST_SHARE * full[k])]
    parts = np.array([masks[k] for k in visible], dtype=bool).reshape(-1, size, size)
    return Collage(np.asarray(canvas), [categories[k] for k in visible], parts)


def _background(rng: random.Random, sources: Sources, size: int) -> Image.Image:
    """A square crop of a photograph, scaled to ``size``, half the time mirrored."""
    photograph = _read(rng.choice(sources.backgrounds), "RGB")
    side = rng.randint(min(size, *photograph.size), min(photograph.size))
    x, y = rng.randint(0, photograph.width - side), rng.randint(0, photograph.height - side)
    crop = photograph.crop((x, y, x + side, y + side)).resize((size, size), Image.Resampling.BICUBIC)
    return _mirrored(rng, crop)


def _paste(rng: random.Random, canvas: Image.Image, cutout: Image.Image) -> NDArray[Any]:
    """Paste ``cutout`` on ``canvas``, turned, scaled and lit at random; the mask of all of it that lies inside."""
    size = canvas.width
    turned = _mirrored(rng, cutout).rotate(rng.uniform(-TURN, TURN), Image.Resampling.BICUBIC, expand=True)
    scale = rng.uniform(*SCALE) * size / max(turned.size)
    width, height = (max(8, round(side * scale)) for side in turned.size)
    scaled = turned.resize((width, height), Image.Resampling.LANCZOS)
    gain = rng.uniform(*GAIN)
    lit = scaled.point([min(255, int(value * gain)) for value in range(256)] * 3 + list(range(256)))
    x, y = (rng.randint(-side // OUTSIDE, max(1, size - side * (OUTSIDE - 1) // OUTSIDE)) for side in lit.size)
    canvas.paste(lit, (x, y), lit)
    layer = Image.new("L", canvas.size)
    layer.paste(lit.getchannel("A"), (x, y))
    return np.asarray(layer) > OPAQUE


def _mirrored(rng: random.Random, image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


@functools.lru_cache(maxsize=1024)  # a whole set of cut-outs and photographs: about 100 MB in each process
def _read(path: Path, mode: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert(mode)
    except OSError as error:
        raise InputError(f"{path}: expected an image, found {error}; make the cut-outs again") from None
