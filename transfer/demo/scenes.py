"""Small shapes pasted on a photograph, with the exact visible mask of every one. Arrays in, arrays out."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

INK = 0.4  # of the full ink: where a digit's stroke ends. Higher breaks thin strokes, lower closes the holes.
EDGE = 1.5  # pixels over which a stroke's edge blends into the photograph
CONTRAST = 70  # least difference in luminance (0-255) between a shape and what lies under it
VISIBLE = 0.75  # least share of every shape that must stay visible when others cover it
TURN = 12.0  # largest turn of a shape, degrees
TRIES = 20  # places tried for one shape before the scene goes without it, and colours tried before black or white
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Scene:
    """One image and its objects.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        labels: N class numbers, from 0.
        masks: (N, H, W) bool, the visible part of each object, no pixel in two of them.
        shape_ids: N numbers that say which source shape each object is.
        covered: N flags, true when a later object hides a part.
        source: where the background comes from.
    """

    image: NDArray[np.uint8]
    labels: list[int]
    masks: NDArray[np.bool_]
    shape_ids: list[int]
    covered: list[bool]
    source: dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """A small grey image (h, w) of ink in 0-1, its class number and its number among all shapes."""

    ink: NDArray[np.float32]
    label: int
    shape_id: int


def compose(
    rng: np.random.Generator,
    background: NDArray[np.uint8],
    shapes: list[Shape],
    sides: tuple[float, float],
    source: dict[str, Any],
) -> Scene:
    """Paste ``shapes`` one after the other, each turned, scaled and coloured at random, at a random place inside.

    Args:
        rng: decides everything that is random here.
        background: (S, S, 3) uint8.
        shapes: at least one; the first is always placed, a later one only where enough of the others stays visible.
        sides: smallest and largest height of an upright shape, as a share of S.
        source: kept in the scene.
    """
    size = background.shape[0]
    image = background.astype(np.float32)
    full: list[Mask] = []
    visible: list[Mask] = []
    placed: list[Shape] = []
    for shape in shapes:
        height = rng.uniform(*sides) * size
        ink = render(shape.ink, height, rng.uniform(-TURN, TURN))
        place = _find_place(rng, size, ink >= INK, full, visible)
        if place is None:
            continue
        y, x = place
        window = np.s_[y : y + ink.shape[0], x : x + ink.shape[1]]
        mask = np.zeros((size, size), dtype=bool)
        mask[window] = ink >= INK
        image[window] = _paint(rng, image[window], ink, height / shape.ink.shape[0])
        visible = [other & ~mask for other in visible] + [mask]
        full.append(mask)
        placed.append(shape)
    return Scene(
        np.clip(image.round(), 0, 255).astype(np.uint8),
        [shape.label for shape in placed],
        np.stack(visible),
        [shape.shape_id for shape in placed],
        [bool((a & ~b).any()) for a, b in zip(full, visible, strict=True)],
        source,
    )


def render(ink: NDArray[np.float32], height: float, angle: float) -> NDArray[np.float32]:
    """Scale ``ink`` smoothly to ``height`` pixels, turn it by ``angle`` degrees, cut to what is above INK.

    Returns:
        (h, w) float32, about 0-1; its outermost rows and columns hold a pixel of at least INK.
    """
    padded = np.pad(ink, 1)  # room for the smooth edge
    scale = height / ink.shape[0]
    width, tall = (max(4, round(side * scale)) for side in padded.shape[::-1])
    picture = Image.fromarray(padded).resize((width, tall), Image.Resampling.BICUBIC)
    turned = np.asarray(picture.rotate(angle, Image.Resampling.BICUBIC, expand=True), dtype=np.float32)
    inside = turned >= INK
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return turned[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _find_place(
    rng: np.random.Generator, size: int, mask: Mask, full: list[Mask], visible: list[Mask]
) -> tuple[int, int] | None:
    """Return a corner (y, x) where ``mask`` leaves enough of every earlier object visible, None when none is found."""
    for _ in range(TRIES):
        y, x = (int(rng.integers(size - side + 1)) for side in mask.shape)
        window = np.s_[y : y + mask.shape[0], x : x + mask.shape[1]]
        left = [pixels.sum() - (pixels[window] & mask).sum() for pixels in visible]
        if all(part >= VISIBLE * whole.sum() for part, whole in zip(left, full, strict=True)):
            return y, x
    return None


def _paint(
    rng: np.random.Generator, under: NDArray[np.float32], ink: NDArray[np.float32], scale: float
) -> NDArray[np.float32]:
    """Return ``under`` (h, w, 3) with the stroke in a colour of its own; ``scale``: pixels per source pixel."""
    below = under[ink >= INK].mean(axis=0) @ LUMINANCE
    for _ in range(TRIES):
        colour = 255 * np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 1), rng.uniform(0.2, 1)))
        if abs(colour @ LUMINANCE - below) >= CONTRAST:
            break
    else:
        colour = np.full(3, 235.0 if below < 128 else 20.0)
    shade = 0.75 + 0.25 * np.clip(ink, 0, 1)  # the pen's pressure stays visible
    alpha = np.clip((ink - INK) * scale / EDGE + 0.5, 0, 1)[..., None]
    return (under * (1 - alpha) + colour * shade[..., None] * alpha).astype(np.float32)
