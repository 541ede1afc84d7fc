"""Random views of an image, on uint8 arrays: crop, flip, colour, grey, blur (SimCLR, Chen et al. 2020, appendix A).

Everything random comes from the generator that is passed in, so that a view depends on its seed alone. OpenCV does
the pixel work, on bytes, and on the crop, never on the image. The crops are drawn before the image is decoded, so that
a JPEG is decoded no larger than they need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pretrain.errors import InputError
from pretrain.pixels import REDUCED_EIGHTHS, SMALLEST_SIDE, Image, decode, read_header

Box = tuple[int, int, int, int]  # top, left, height, width, pixels

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float64)  # ITU-R 601 luma, as Pillow and torchvision use it
# (side of the low-pass kernel, up to which ratio of crop to view); beyond the last one the area filter serves.
_KERNELS = ((3, 2.0), (5, 3.5), (7, 5.0))
_AREA_FROM = 5.0


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
        blur_min, blur_max: its sigma, pixels; the kernel is a tenth of the view wide, less where its ends are 0.
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


def make_views(encoded: bytes, settings: ViewSettings, rngs: Sequence[np.random.Generator]) -> list[Image] | None:
    """One random view per generator of one encoded image, decoded once: each (size, size, 3) uint8 in RGB.

    None when the image cannot be decoded or is smaller than `SMALLEST_SIDE`.
    """
    header = read_header(encoded)
    if header is None:
        image = decode(encoded)
        if image is None or min(image.shape[:2]) < SMALLEST_SIDE:
            return None
        return [make_view(image, settings, rng) for rng in rngs]
    if min(header.size) < SMALLEST_SIDE:
        return None
    boxes = [crop_box(*header.size, settings, rng) for rng in rngs]
    eighths = eighths_for(boxes, settings.size)
    image = decode(encoded, header, eighths)
    if image is None:
        return None
    if image.shape[:2] != header.size:
        boxes = [scaled_box(box, eighths, image.shape[:2]) for box in boxes]
    crops = [resampled(image, box, settings.size) for box in boxes]
    return [altered(crop, settings, rng) for crop, rng in zip(crops, rngs, strict=True)]


def make_view(image: Image, settings: ViewSettings, rng: np.random.Generator) -> Image:
    """One random view: RGB (H, W, 3) uint8 -> (size, size, 3) uint8."""
    box = crop_box(image.shape[0], image.shape[1], settings, rng)
    return altered(resampled(image, box, settings.size), settings, rng)


def crop_box(height: int, width: int, settings: ViewSettings, rng: np.random.Generator) -> Box:
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


def eighths_for(boxes: Sequence[Box], size: int) -> int:
    """The smallest scale, in eighths, at which no crop has a side shorter than the view's; 8 is full size."""
    shortest = min(min(height, width) for _, _, height, width in boxes)
    return next((m for m in REDUCED_EIGHTHS if shortest * m >= size * 8), 8)


def scaled_box(box: Box, eighths: int, size: tuple[int, int]) -> Box:
    """A crop of the full image in the pixels of one decoded at ``eighths``, whose (height, width) is ``size``.

    One decoded pixel covers 8 / eighths of the image's exactly; the last ones may reach past its border.
    """
    top, left, height, width = box
    bottom, right = round((top + height) * eighths / 8), round((left + width) * eighths / 8)
    top, left = round(top * eighths / 8), round(left * eighths / 8)
    return top, left, max(1, min(bottom, size[0]) - top), max(1, min(right, size[1]) - left)


def resampled(image: Image, box: Box, size: int) -> Image:
    """A crop as (size, size, 3): linear, after a low-pass filter where it shrinks.

    Pillow's and torchvision's antialiasing filter is a triangle as wide as the shrinking. A small Gaussian and a linear
    interpolation come closer to it than OpenCV's area filter, in a third of its time: at a ratio of 1.6 the mean
    difference is 0.34 levels (area: 0.40) and fine detail 4 % weaker (6 % stronger), at 2 it is 0.3 (1.4) and 2 %
    stronger (28 %), measured on photographs at 64 pixels.
    """
    top, left, height, width = box
    crop = image[top : top + height, left : left + width]
    shrink = max(height, width) / size
    if shrink > _AREA_FROM:
        return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    if shrink > 1:
        side = next(side for side, ratio in _KERNELS if shrink <= ratio)
        crop = cv2.GaussianBlur(crop, (side, side), 0.38 * width / size, sigmaY=0.38 * height / size)
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)


def altered(view: Image, settings: ViewSettings, rng: np.random.Generator) -> Image:
    """Flip, colour jitter, grey and blur, each with its probability."""
    if rng.random() < settings.flip:
        view = cv2.flip(view, 1)
    if rng.random() < settings.jitter:
        view = jitter(view, settings, rng)
    if rng.random() < settings.grey:
        view = _grey(view)
    if rng.random() < settings.blur:
        view = blur(view, rng.uniform(settings.blur_min, settings.blur_max), settings.size)
    return view


def jitter(view: Image, settings: ViewSettings, rng: np.random.Generator) -> Image:
    """Brightness, contrast, saturation and hue in random order, each by a random amount."""
    s = settings
    for operation in rng.permutation(4).tolist():
        if operation == 0 and s.brightness:
            view = _scaled(view, rng.uniform(1 - s.brightness, 1 + s.brightness), 0.0)
        elif operation == 1 and s.contrast:
            factor = rng.uniform(1 - s.contrast, 1 + s.contrast)
            mean = float(np.dot(cv2.mean(view)[:3], _GREY))
            view = _scaled(view, factor, (1 - factor) * mean)
        elif operation == 2 and s.saturation:
            factor = rng.uniform(1 - s.saturation, 1 + s.saturation)
            view = cv2.addWeighted(view, factor, _grey(view), 1 - factor, 0.0)
        elif operation == 3 and s.hue:
            view = _shift_hue(view, rng.uniform(-s.hue, s.hue))
    return view


def blur(view: Image, sigma: float, size: int) -> Image:
    """Gaussian blur by a kernel of about size / 10, cut at three sigma as OpenCV does for bytes."""
    radius = min(max(3, int(0.1 * size) | 1) // 2, max(1, round(3 * sigma)))
    return cv2.GaussianBlur(view, (2 * radius + 1, 2 * radius + 1), sigma)


def _grey(view: Image) -> Image:
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
