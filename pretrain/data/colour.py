"""The colour work of a view: what was drawn for it, and OpenCV doing it on bytes (SimCLR, Chen et al. 2020).

`pretrain.data.device_colour` does the same on a whole batch; `Colour.row` is how it gets there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from pretrain.data.pixels import Image

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow and torchvision use it
ROUNDS = 5  # operations that one view can have
NO_BLUR = -1.0  # in place of sigma in a row

_GREY = np.array(LUMA, dtype=np.float64)


class Operation(IntEnum):
    """What is done with colours; the amount is a factor, for HUE turns of the colour wheel, for GREY 0."""

    BRIGHTNESS = 0
    CONTRAST = 1
    SATURATION = 2
    HUE = 3
    GREY = 4


@dataclass(frozen=True)
class Colour:
    """The colour work of one view: operations in their order, each once, with their amounts; then blur, solarisation.

    Attributes:
        operations: at most `ROUNDS`.
        sigma: of the Gaussian blur, pixels; None for no blur.
        solarise: whether levels from 128 on are inverted, as the last thing.
    """

    operations: tuple[tuple[Operation, float], ...] = ()
    sigma: float | None = None
    solarise: bool = False

    def row(self) -> NDArray[np.float64]:
        """`ROUNDS` operations (-1 for none), their `ROUNDS` amounts, sigma or `NO_BLUR`, and 1 to solarise, else 0.

        As (12,) float64.
        """
        sigma = NO_BLUR if self.sigma is None else self.sigma
        row = np.array([-1.0] * ROUNDS + [0.0] * ROUNDS + [sigma, float(self.solarise)])
        for k, (operation, amount) in enumerate(self.operations):
            row[k], row[ROUNDS + k] = operation, amount
        return row


def coloured(view: Image, colour: Colour) -> Image:
    """A square RGB view with its colour work done, (size, size, 3) uint8; each operation rounds and saturates."""
    for operation, amount in colour.operations:
        view = _OPERATIONS[operation](view, amount)
    if colour.sigma is not None:
        view = blur(view, colour.sigma, len(view))
    return cv2.min(view, cv2.bitwise_not(view)) if colour.solarise else view


def blur(view: Image, sigma: float, size: int) -> Image:
    """Gaussian blur by a kernel of about size / 10, cut at three sigma as OpenCV does for bytes."""
    radius = min(largest_radius(size), max(1, round(3 * sigma)))
    return cv2.GaussianBlur(view, (2 * radius + 1, 2 * radius + 1), sigma)


def largest_radius(size: int) -> int:
    """Pixels to each side of the widest kernel's centre, for a view of ``size`` pixels."""
    return max(3, int(0.1 * size) | 1) // 2


def _brightened(view: Image, factor: float) -> Image:
    return _scaled(view, factor, 0.0)


def _contrasted(view: Image, factor: float) -> Image:
    mean = float(np.dot(cv2.mean(view)[:3], _GREY))
    return _scaled(view, factor, (1 - factor) * mean)


def _saturated(view: Image, factor: float) -> Image:
    return cv2.addWeighted(view, factor, _grey(view), 1 - factor, 0.0)


def _grey(view: Image, _: float = 0.0) -> Image:
    return cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _scaled(view: Image, factor: float, offset: float) -> Image:
    # Rounds and saturates. A table of 256 levels takes twice as long (48 against 23 microseconds at 224 pixels), and
    # `convertScaleAbs`, which is faster still, mirrors what is below 0.
    return cv2.addWeighted(view, factor, view, 0.0, offset)


def _shift_hue(view: Image, turns: float) -> Image:
    hsv = cv2.cvtColor(view, cv2.COLOR_RGB2HSV_FULL)  # hue in 256 steps, so that bytes wrap where the wheel does
    rows = hsv.reshape(len(hsv), -1)  # whole rows of (shift, 0, 0) add four times as fast as every third byte alone
    rows += np.tile(np.array([round(turns * 256) % 256, 0, 0], dtype=np.uint8), hsv.shape[1])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


_OPERATIONS: dict[Operation, Callable[[Image, float], Image]] = {
    Operation.BRIGHTNESS: _brightened,
    Operation.CONTRAST: _contrasted,
    Operation.SATURATION: _saturated,
    Operation.HUE: _shift_hue,
    Operation.GREY: _grey,
}
