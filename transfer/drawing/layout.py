"""Objects laid out on an image: colours, outlines, boxes and labels, the same for the page's SVG and for PNGs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import contourpy
import cv2
import numpy as np
from numpy.typing import NDArray

from transfer.evaluation.instances import Instance

# Okabe and Ito, "Color Universal Design" (2008): told apart with every common colour blindness. Their black is left
# out, for it vanishes on photographs. With more classes the colours come round again, and the names tell.
PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
LONGEST = 640  # pixels of a picture's longer side
ENLARGED = 4.0  # times at the most: small images stay small
LINE, LETTER = 0.062, 0.031  # a label's height and a letter's width, as shares of the picture's width
HIGHEST = 0.12  # of a label, as a share of the picture's height
FONT = 0.8  # font size over a label's height
_TOLERANCE = 0.45  # pixels that a simplified outline may be off

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shape:
    """One object, in the picture's pixels.

    Attributes:
        colour: its number in PALETTE.
        text: class and score.
        box: x, y, width, height.
        outline: closed polygons, each (K, 2), holes turned the other way round; empty without a mask.
        label: x, y, width, height of the label's ground.
        index: its place among the objects that were given.
    """

    colour: int
    text: str
    box: Box
    outline: list[NDArray[np.float32]]
    label: Box
    index: int = 0


def colours(classes: Sequence[str]) -> dict[str, int]:
    """Return each class's number in PALETTE."""
    return {name: i % len(PALETTE) for i, name in enumerate(classes)}


def ink(colour: int) -> str:
    """Return black or white, whichever stands out more from a colour of PALETTE (WCAG's contrast)."""
    channels = [int(PALETTE[colour][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#ffffff"


def scale(height: int, width: int) -> float:
    """Return how many pixels of the picture one of the image takes."""
    return min(LONGEST / max(height, width), ENLARGED)


def lay_out(
    instances: Sequence[Instance],
    numbers: dict[str, int],
    by: float,
    width: int,
    height: int,
    line: float | None = None,
) -> list[Shape]:
    """Return the objects of one image, the best score last: on top.

    Args:
        instances: of one image.
        numbers: class -> number of its colour.
        by: picture pixels for one image pixel.
        width: of the picture.
        height: of the picture.
        line: a label's height in pixels; None suits a picture that is shown as large as a thumbnail.
    """
    line = thumbnail_line(width, height) if line is None else line
    order = sorted(range(len(instances)), key=lambda i: instances[i].score or 0)
    rising = [instances[i] for i in order]
    texts = [one.label if one.score is None else f"{one.label} {one.score:.2f}" for one in rising]
    labels: list[Box] = []
    for one, text in zip(reversed(rising), reversed(texts), strict=True):  # the best score has the first choice
        labels.append(_place(text, by * one.box[0], by * one.box[1], by * one.box[3], line, (width, height), labels))
    return [
        Shape(
            colour=numbers[one.label],
            text=text,
            box=(by * one.box[0], by * one.box[1], by * one.box[2], by * one.box[3]),
            outline=[] if one.mask is None else outline(one.mask, by),
            label=label,
            index=index,
        )
        for index, one, text, label in zip(order, rising, texts, reversed(labels), strict=True)
    ]


def thumbnail_line(width: int, height: int) -> float:
    """Return the height of labels that can be read where the picture is shown as large as a thumbnail."""
    return min(LINE * width, HIGHEST * height)


def outline(mask: NDArray[np.bool_], by: float) -> list[NDArray[np.float32]]:
    """Return a mask's outline as closed polygons in the picture's pixels; none for an empty mask.

    The frame of zeros closes it at the image's border, and pixel centres lie at half coordinates, as COCO counts.
    """
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys):
        return []
    part = np.pad(mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].astype(float), 1)
    contours = contourpy.contour_generator(z=part, line_type=contourpy.LineType.Separate).lines(0.5)
    corner = np.array([xs[0] - 0.5, ys[0] - 0.5])
    polygons = [((np.asarray(contour) + corner) * by).astype(np.float32) for contour in contours]
    return [cv2.approxPolyDP(polygon[:, None, :], _TOLERANCE, True)[:, 0, :] for polygon in polygons]


def _place(
    text: str, x: float, y: float, tall: float, line: float, within: tuple[int, int], taken: Sequence[Box]
) -> Box:
    """Return the ground of a label: above its box, else inside it, below it, or wherever nearest no other label is.

    Where all places are taken, it covers as little of other labels as it can.
    """
    width, height = within
    length = line / LINE * (LETTER * len(text) + 0.02)
    left, lowest = min(max(x, 1.0), max(width - length, 1.0)), max(height - line, 0.0)
    steps = np.arange(0.0, lowest + line / 2, line / 2)
    tops = [y - line, y, y + tall, *(y + way * step for step in steps for way in (1, -1))]
    boxes = [(left, float(min(max(top, 0.0), lowest)), length, line) for top in tops]
    return min(boxes, key=lambda box: sum(_common(box, other) for other in taken))  # the first of equals


def _common(a: Box, b: Box) -> float:
    """Return the area that two boxes share; what is left by rounding counts as none."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return wide * tall if min(wide, tall) > 1e-6 else 0.0
