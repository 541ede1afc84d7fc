"""JPEGs of the three sizes that image collections come in, made from the photographs that ship with scikit-learn."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Name: (width, height). Thumbnails, ImageNet's and COCO's usual size, and what a phone or a camera's preview gives.
SIZES = {"160 px": (160, 120), "500 px": (500, 375), "2 MP": (1600, 1250)}
QUALITY = 90


def jpegs(kind: str, count: int) -> list[bytes]:
    """Different JPEGs of one of `SIZES`, each cut from the photographs with as much detail per pixel as they have.

    The photographs have 640 x 427 pixels. Small pictures are made by reducing crops of them; large ones are mosaics of
    crops in their own resolution, because an enlarged picture would have less to decode than a real one.
    """
    from sklearn.datasets import load_sample_images

    photographs, rng = load_sample_images().images, np.random.default_rng(0)
    return [_encoded(_picture(photographs, SIZES[kind], rng)) for _ in range(count)]


def _picture(photographs: list[NDArray[Any]], size: tuple[int, int], rng: np.random.Generator) -> NDArray[Any]:
    width, height = size
    if width <= 640 and height <= 427:
        side = rng.uniform(max(width / 640, height / 427), 1.0)  # of the photograph's shorter side
        return cv2.resize(_crop(photographs, (640 * side, 427 * side), rng), size, interpolation=cv2.INTER_AREA)
    tile = (400, 250)
    rows = [
        np.concatenate([_crop(photographs, tile, rng) for _ in range(-(-width // tile[0]))], axis=1)
        for _ in range(-(-height // tile[1]))
    ]
    return np.concatenate(rows)[:height, :width]


def _crop(photographs: list[NDArray[Any]], size: tuple[float, float], rng: np.random.Generator) -> NDArray[Any]:
    image, width, height = photographs[rng.integers(len(photographs))], int(size[0]), int(size[1])
    left, top = rng.integers(image.shape[1] - width + 1), rng.integers(image.shape[0] - height + 1)
    crop = image[top : top + height, left : left + width]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def _encoded(image: NDArray[Any]) -> bytes:
    bgr = np.ascontiguousarray(image[..., ::-1])
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])
