"""Random views of an image, on uint8 arrays: crop, flip, colour, grey, blur (SimCLR, Chen et al. 2020, appendix A).

The two views of an image may be drawn from two distributions, as BYOL's are (Grill et al. 2020, appendix B): blur and
solarisation have a probability for each.

Everything random comes from the generator that is passed in, so that a view depends on its seed alone. OpenCV does
the pixel work, on bytes, and on the crop, never on the image. The crops are drawn before the image is decoded, so that
a JPEG is decoded no larger than they need. What is drawn never depends on pixels: the colour work can be done anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import cv2
import numpy as np

from pretrain.data.colour import Colour, Operation, coloured
from pretrain.data.pixels import REDUCED_EIGHTHS, SMALLEST_SIDE, Image, decode, read_header
from pretrain.errors import InputError
from pretrain.ranges import ABOVE_ZERO, NOT_NEGATIVE, SHARE, OneOf, Range, check

Box = tuple[int, int, int, int]  # top, left, height, width, pixels

# (side of the low-pass kernel, up to which ratio of crop to view); beyond the last one the area filter serves.
_KERNELS = ((3, 2.0), (5, 3.5), (7, 5.0))
_AREA_FROM = 5.0
_SOME = Range(0, 1, above=True)  # of the image's area


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
        blur: probability of Gaussian blur; 1.0 in BYOL, Barlow Twins and MEC.
        second_blur: the second view's; None for ``blur``. 0.1 in BYOL, Barlow Twins and MEC.
        blur_min, blur_max: its sigma, pixels; the kernel is a tenth of the view wide, less where its ends are 0.
        solarise: probability of inverting the levels from 128 on, of the first view.
        second_solarise: the second view's; None for ``solarise``. 0.2 in BYOL, Barlow Twins and MEC.
        colour: who does jitter, grey, blur and solarisation, with the same random choices: loader (OpenCV, on bytes),
            or device (`pretrain.data.device_colour`, in float32 on the whole batch, rounding nothing).
    """

    size: Annotated[int, Range(8, 4096, whole=True)] = 224
    crop_min: Annotated[float, _SOME] = 0.08
    crop_max: Annotated[float, _SOME] = 1.0
    ratio: Annotated[float, Range(1)] = 4 / 3
    flip: Annotated[float, SHARE] = 0.5
    jitter: Annotated[float, SHARE] = 0.8
    brightness: Annotated[float, SHARE] = 0.4
    contrast: Annotated[float, SHARE] = 0.4
    saturation: Annotated[float, SHARE] = 0.4
    hue: Annotated[float, Range(0, 0.5)] = 0.1
    grey: Annotated[float, SHARE] = 0.2
    blur: Annotated[float, SHARE] = 0.0
    second_blur: Annotated[float | None, SHARE] = None
    blur_min: Annotated[float, NOT_NEGATIVE] = 0.1
    blur_max: Annotated[float, ABOVE_ZERO] = 2.0
    solarise: Annotated[float, SHARE] = 0.0
    second_solarise: Annotated[float | None, SHARE] = None
    colour: Annotated[str, OneOf(("loader", "device"))] = "loader"

    def __post_init__(self) -> None:
        """Refuse what is out of range, and ranges that begin behind their end."""
        check(self, "views")
        for low, high in (("crop_min", "crop_max"), ("blur_min", "blur_max")):
            least, most = getattr(self, low), getattr(self, high)
            if least > most:
                raise InputError(f"views.{low}, {high}: expected {low} <= {high}, found {least} and {most}")


class SampledView(NamedTuple):
    """A view as it is before its colour work, (size, size, 3) uint8 in RGB, and the colour work sampled for it."""

    pixels: Image
    colour: Colour


def make_views(encoded: bytes, settings: ViewSettings, rngs: Sequence[np.random.Generator]) -> list[Image] | None:
    """One random view per generator of one encoded image, decoded once: each (size, size, 3) uint8 in RGB.

    All but the first are drawn as second views. None when the image cannot be decoded or is smaller than
    `SMALLEST_SIDE`.
    """
    sampled = sample_views(encoded, settings, rngs)
    return None if sampled is None else [coloured(view, colour) for view, colour in sampled]


def sample_views(
    encoded: bytes, settings: ViewSettings, rngs: Sequence[np.random.Generator]
) -> list[SampledView] | None:
    """The views of `make_views` as they are before their colour work, each with what was sampled for it."""
    header = read_header(encoded)
    if header is None:
        image = decode(encoded)
        if image is None or min(image.shape[:2]) < SMALLEST_SIDE:
            return None
        return [sample_view(image, settings, rng, second=k > 0) for k, rng in enumerate(rngs)]
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
    return [_sampled(crop, settings, rng, k > 0) for k, (crop, rng) in enumerate(zip(crops, rngs, strict=True))]


def make_view(image: Image, settings: ViewSettings, rng: np.random.Generator, *, second: bool = False) -> Image:
    """One random view: RGB (H, W, 3) uint8 -> (size, size, 3) uint8."""
    return coloured(*sample_view(image, settings, rng, second=second))


def sample_view(image: Image, settings: ViewSettings, rng: np.random.Generator, *, second: bool = False) -> SampledView:
    """The view of `make_view` as it is before its colour work, and what was sampled for it."""
    box = crop_box(image.shape[0], image.shape[1], settings, rng)
    return _sampled(resampled(image, box, settings.size), settings, rng, second)


def _sampled(crop: Image, settings: ViewSettings, rng: np.random.Generator, second: bool) -> SampledView:
    view = cv2.flip(crop, 1) if rng.random() < settings.flip else crop
    return SampledView(view, sample_colour(settings, rng, second=second))


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


def sample_colour(settings: ViewSettings, rng: np.random.Generator, *, second: bool = False) -> Colour:
    """Colour jitter, grey, blur and solarisation, each with its probability for this view of the two."""
    s, blur, solarise = settings, settings.blur, settings.solarise
    if second:
        blur = blur if s.second_blur is None else s.second_blur
        solarise = solarise if s.second_solarise is None else s.second_solarise
    operations = sample_jitter(settings, rng) if rng.random() < settings.jitter else ()
    if rng.random() < settings.grey:
        operations += ((Operation.GREY, 0.0),)
    sigma = rng.uniform(s.blur_min, s.blur_max) if rng.random() < blur else None
    return Colour(operations, sigma, solarise > 0 and bool(rng.random() < solarise))


def sample_jitter(settings: ViewSettings, rng: np.random.Generator) -> tuple[tuple[Operation, float], ...]:
    """Brightness, contrast, saturation and hue in random order, each by a random amount; none whose range is 0."""
    s, operations = settings, []
    ranges = (1, s.brightness), (1, s.contrast), (1, s.saturation), (0, s.hue)
    for operation in rng.permutation(4).tolist():
        centre, reach = ranges[operation]
        if reach:
            operations.append((Operation(operation), rng.uniform(centre - reach, centre + reach)))
    return tuple(operations)
