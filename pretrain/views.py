"""Random views of an image, on uint8 arrays: crop, flip, colour, grey, blur (SimCLR, Chen et al. 2020, appendix A).

Everything random comes from the generator that is passed in, so that a view depends on its seed alone. OpenCV does
the pixel work: crops are resampled once, and brightness, contrast and hue are table look-ups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pretrain.errors import InputError

Image = NDArray[Any]  # uint8; OpenCV types its results more loosely

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float64)  # ITU-R 601 luma, as Pillow and torchvision use it


@dataclass(frozen=True)
class ViewSettings:
    """The distribution of views; the defaults are MetaMask's release (SimCLR's CIFAR set, no blur).

    Attributes:
        size: side of the square view, pixels.
        crop_min, crop_max: share of the image's area that the crop covers.
        ratio: largest width-to-height ratio of the crop; its inverse is the smallest.
        flip: probability of a horizontal flip.
        jitter: probability of colour jitter.
        brightness, contrast, saturation: factors are uniform in [1 - x, 1 + x].
        hue: shift is uniform in [-x, x] turns of the colour wheel, x <= 0.5.
        grey: probability of greyscale.
        blur: probability of Gaussian blur.
        blur_min, blur_max: its sigma, pixels; the kernel is a tenth of the view wide.
    """

    size: int = 224
    crop_min: float = 0.08
    crop_max: float = 1.0
    ratio: float = 4 / 3
    flip: float = 0.5
    jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    grey: float = 0.2
    blur: float = 0.0
    blur_min: float = 0.1
    blur_max: float = 2.0

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        if self.size < 8:
            raise InputError(f"views.size: expected at least 8 pixels, found {self.size}")
        if not 0 < self.crop_min <= self.crop_max <= 1:
            raise InputError(
                f"views.crop_min, crop_max: expected 0 < min <= max <= 1, found {self.crop_min}, {self.crop_max}"
            )
        for name in ("flip", "jitter", "grey", "blur", "brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"views.{name}: expected a number in 0-1, found {getattr(self, name)}")
        if not 0 <= self.hue <= 0.5:
            raise InputError(f"views.hue: expected a number in 0-0.5, found {self.hue}")


def make_view(image: Image, settings: ViewSettings, rng: np.random.Generator) -> Image:
    """One random view: RGB (H, W, 3) uint8 -> (size, size, 3) uint8."""
    view = random_crop(image, settings, rng)
    if rng.random() < settings.flip:
        view = cv2.flip(view, 1)
    if rng.random() < settings.jitter:
        view = jitter(view, settings, rng)
    if rng.random() < settings.grey:
        view = cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < settings.blur:
        sigma = rng.uniform(settings.blur_min, settings.blur_max)
        side = max(3, int(0.1 * settings.size) | 1)
        view = cv2.GaussianBlur(view, (side, side), sigma)
    return view


def random_crop(image: Image, settings: ViewSettings, rng: np.random.Generator) -> Image:
    """A crop of random area and ratio, resampled to (size, size, 3): area filter down, linear up."""
    top, left, height, width = crop_box(image.shape[0], image.shape[1], settings, rng)
    crop = image[top : top + height, left : left + width]
    shrinks = height * width > settings.size**2
    return cv2.resize(
        crop, (settings.size, settings.size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def crop_box(height: int, width: int, settings: ViewSettings, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a crop: area uniform, log-ratio uniform, ten tries, then the central square."""
    log_ratio = math.log(settings.ratio)
    for _ in range(10):
        area = height * width * rng.uniform(settings.crop_min, settings.crop_max)
        ratio = math.exp(rng.uniform(-log_ratio, log_ratio))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def jitter(view: Image, settings: ViewSettings, rng: np.random.Generator) -> Image:
    """Brightness, contrast, saturation and hue in random order, each by a random amount."""
    s = settings
    for operation in rng.permutation(4):
        if operation == 0 and s.brightness:
            view = _scale(view, rng.uniform(1 - s.brightness, 1 + s.brightness), 0.0)
        elif operation == 1 and s.contrast:
            factor = rng.uniform(1 - s.contrast, 1 + s.contrast)
            mean = float(np.dot(cv2.mean(view)[:3], _GREY))
            view = _scale(view, factor, (1 - factor) * mean)
        elif operation == 2 and s.saturation:
            factor = rng.uniform(1 - s.saturation, 1 + s.saturation)
            view = cv2.transform(view, factor * np.eye(3) + (1 - factor) * _GREY)
        elif operation == 3 and s.hue:
            view = _shift_hue(view, rng.uniform(-s.hue, s.hue))
    return view


def _scale(view: Image, factor: float, offset: float) -> Image:
    table = np.clip(np.arange(256) * factor + offset + 0.5, 0, 255).astype(np.uint8)
    return cv2.LUT(view, table)


def _shift_hue(view: Image, turns: float) -> Image:
    hsv = cv2.cvtColor(view, cv2.COLOR_RGB2HSV_FULL)  # hue in 256 steps
    table = np.empty((256, 1, 3), dtype=np.uint8)
    table[:, 0, :] = np.arange(256)[:, None]
    table[:, 0, 0] = (np.arange(256) + round(turns * 256)) % 256
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB_FULL)
