"""Images with objects marked in COCO's format, read strictly: what is not plain is refused with its place in the file.

``transfer.data`` is the door of the other package: it reads what many tools write, mends what has one meaning and says
so. Here nothing is mended, and the first fault ends it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pretrain.errors import InputError
from pretrain.ranges import brief

Code = dict[str, Any]  # COCO's compressed run-length code: size (height, width) and counts
_LISTS = ("images", "annotations", "categories")
_MOST_PIXELS = 2**30  # of an image: what one number of a run-length code can count


@dataclass(frozen=True, eq=False)
class ObjectImage:
    """One image and its objects.

    Attributes:
        file: the image.
        size: (height, width) as the annotation file says, pixels.
        labels: (K,) position of each object's class in the set's ``classes``.
        boxes: (K, 4) x0, y0, x1, y1 in pixels, inside the image.
        masks: K run-length codes; None for an object with a box alone.
        crowds: (C, 4) boxes of what is marked as a crowd: neither an object nor background.
    """

    file: Path
    size: tuple[int, int]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    masks: tuple[Code | None, ...]
    crowds: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ObjectSet:
    """A COCO data set, read.

    Attributes:
        images: the folder.
        annotations: the JSON file.
        classes: names in the order of their ids.
        items: the images in the order of the file, those without objects too.
        fingerprint: 16 hex digits of the JSON file's SHA-256.
    """

    images: Path
    annotations: Path
    classes: tuple[str, ...]
    items: tuple[ObjectImage, ...]
    fingerprint: str

    @property
    def masked(self) -> bool:
        """Whether every object has a mask; else all are taken by their boxes."""
        return all(mask is not None for item in self.items for mask in item.masks)


def read_objects(images: str | Path, annotations: str | Path) -> ObjectSet:
    """Read a COCO data set; the images themselves are not opened.

    Args:
        images: the folder that file names are relative to.
        annotations: COCO's JSON: ``images``, ``annotations`` with boxes and, where there are any, masks as polygons or
            run-length codes, and ``categories``.

    Raises:
        InputError: no such folder, file or image, or an entry that is not what COCO's format says; one line.
    """
    images, path = Path(images), Path(annotations)
    if not images.is_dir():
        raise InputError(f"--coco {images}: expected a folder of images, found none there; name one")
    content, digest = _content(path)
    try:
        return ObjectSet(images, path, *_read(content, images), digest)
    except _Odd as odd:
        raise InputError(f"--coco {path}: {odd}; mend the file") from None


class _Odd(Exception):
    """An entry that is not what COCO's format says: where, what was expected and what is there."""


def _content(path: Path) -> tuple[dict[str, Any], str]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"--coco {path}: expected COCO's JSON, found no readable file ({error.strerror})") from None
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"--coco {path}: expected COCO's JSON, found something else ({error})") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in _LISTS):
        raise InputError(f"--coco {path}: expected an object with the lists {', '.join(_LISTS)}, found another")
    return content, hashlib.sha256(raw).hexdigest()[:16]


def _read(content: dict[str, Any], folder: Path) -> tuple[tuple[str, ...], tuple[ObjectImage, ...]]:
    categories, images = _by_id(content["categories"], "categories"), _by_id(content["images"], "images")
    names = {key: _value(one, "name", f"category {key}", _is_text) for key, one in sorted(categories.items())}
    if not names:
        raise _Odd("categories: expected at least one, found none")
    position = {key: k for k, key in enumerate(names)}
    files = {key: _file(one, key, folder) for key, one in images.items()}
    sizes = {key: _size(one, key) for key, one in images.items()}
    objects: dict[int, list[tuple[int, list[float], Code | None]]] = {key: [] for key in images}
    crowds: dict[int, list[list[float]]] = {key: [] for key in images}
    for key, one in _by_id(content["annotations"], "annotations").items():
        where = f"annotation {key}"
        image = _value(one, "image_id", where, images.__contains__, "the id of an image")
        label = _value(one, "category_id", where, position.__contains__, "the id of a category")
        box = _box(one, where, sizes[image])
        crowd = one.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise _Odd(f"{where}: expected 0 or 1 as iscrowd, found {brief(crowd)}")
        if crowd:
            crowds[image].append(box)
        else:
            objects[image].append((position[label], box, _mask(one, where, sizes[image])))
    items = (
        ObjectImage(
            files[key],
            sizes[key],
            np.array([label for label, _, _ in objects[key]], np.int64),
            np.array([box for _, box, _ in objects[key]], np.float64).reshape(-1, 4),
            tuple(mask for _, _, mask in objects[key]),
            np.array(crowds[key], np.float64).reshape(-1, 4),
        )
        for key in images
    )
    return tuple(names.values()), tuple(items)


def _by_id(entries: list[Any], what: str) -> dict[int, dict[str, Any]]:
    result: dict[int, dict[str, Any]] = {}
    for k, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise _Odd(f"{what}, entry {k}: expected an object, found {brief(entry)}")
        key = _value(entry, "id", f"{what}, entry {k}", lambda value: type(value) is int, "a whole number")
        if key in result:
            raise _Odd(f"{what}: expected every id once, found {key} twice")
        result[key] = entry
    return result


def _value(entry: dict[str, Any], key: str, where: str, right: Callable[[Any], bool], what: str = "a text") -> Any:
    value = entry.get(key)
    if isinstance(value, list | dict | bool) or value is None or not right(value):
        raise _Odd(f"{where}: expected {what} as {key}, found {brief(value)}")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _file(image: dict[str, Any], key: int, folder: Path) -> Path:
    file = folder / _value(image, "file_name", f"image {key}", _is_text)
    if not file.is_file():
        raise _Odd(f"image {key}: expected its file in the folder, found nothing at {file}")
    return file


def _size(image: dict[str, Any], key: int) -> tuple[int, int]:
    height, width = (
        _value(image, side, f"image {key}", lambda value: type(value) is int and value > 0, "pixels")
        for side in ("height", "width")
    )
    if height * width > _MOST_PIXELS:
        raise _Odd(f"image {key}: expected at most {_MOST_PIXELS} pixels, found {width}x{height}")
    return height, width


def _box(annotation: dict[str, Any], where: str, size: tuple[int, int]) -> list[float]:
    """x0, y0, x1, y1, cut at the image's edges."""
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise _Odd(f"{where}: expected four finite numbers as bbox, found {brief(box)}")
    x, y, width, height = box
    cut = [max(0.0, x), max(0.0, y), min(float(size[1]), x + width), min(float(size[0]), y + height)]
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        raise _Odd(f"{where}: expected a bbox with an area inside the image of {size[1]}x{size[0]}, found {brief(box)}")
    return cut


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _mask(annotation: dict[str, Any], where: str, size: tuple[int, int]) -> Code | None:
    """The mask as one compressed run-length code; None where there is none."""
    mask = annotation.get("segmentation")
    if mask is None or mask == []:
        return None
    if isinstance(mask, list):
        if not all(isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 and all(map(_is_number, p)) for p in mask):
            raise _Odd(f"{where}: expected polygons of three points or more as segmentation, found {brief(mask)}")
        far = max(abs(number) for polygon in mask for number in polygon)
        if far > 2 * max(size):  # each step between two points is drawn
            raise _Odd(
                f"{where}: expected polygons near the image of {size[1]}x{size[0]}, found one that reaches {far:g}"
            )
        code: Code = coco_mask.merge(coco_mask.frPyObjects(mask, *size))
    elif isinstance(mask, dict) and mask.get("size") == list(size):
        code = _code(mask.get("counts"), where, size)
    else:
        raise _Odd(f"{where}: expected polygons or a run-length code of size {list(size)}, found {brief(mask)}")
    if not int(coco_mask.area(code)):
        raise _Odd(f"{where}: expected a mask with at least one pixel, found an empty one")
    return code


def _code(counts: Any, where: str, size: tuple[int, int]) -> Code:
    """A run-length code whose runs fill the image: pycocotools' C code reads past the end of any other."""
    runs = counts if isinstance(counts, list) else _runs(counts) if isinstance(counts, str) else None
    sound = runs is not None and all(type(run) is int and run >= 0 for run in runs)
    if not sound or sum(runs or ()) != size[0] * size[1]:
        raise _Odd(f"{where}: expected runs that add up to {size[0]} * {size[1]} pixels, found {brief(counts)}")
    code: Code = coco_mask.frPyObjects({"size": list(size), "counts": runs}, *size)
    return code


def _runs(text: str) -> list[int] | None:
    """The runs of a compressed code (pycocotools, maskApi.c, rleFrString); None for another text.

    A character holds five bits of a number, lowest first, above 48, and 32 where more follow; the last one's highest
    bit is the sign. From the fourth number on each is the difference to the one two before it.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return None if shift or not runs else runs
