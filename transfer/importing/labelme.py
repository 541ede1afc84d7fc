"""labelme's folders: one JSON file an image, with shapes of several kinds and perhaps the image itself.

The format as labelme reads and writes it itself (_label_file.py and _utils/_shape.py of its repository): shapes with
one label and one ``group_id`` are one object.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transfer.data.ids import is_one_line
from transfer.errors import InputError
from transfer.files import image_files
from transfer.files.decode import shown
from transfer.files.json_files import parse, read_bytes
from transfer.importing import shapes
from transfer.importing.images import Images, split_of
from transfer.importing.objects import Choices, DrawnObject, LabelledImage, LabelledSet, Polygon
from transfer.importing.tally import Tally
from transfer.progress import over

WHAT = "a labelme file"
_POLYGONS = {"polygon", "oriented_rectangle", "rotation"}  # the last is X-AnyLabeling's name for the one before
_LINES = {"point", "points", "line", "linestrip", "lines"}
_NO_CLASS = ("__ignore__", "_background_")  # of labelme's own examples (labels.txt)
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "PPM": ".ppm"}
_FAR = 1e9  # pixels


def is_labelme(raw: bytes) -> bool:
    """Whether the bytes of a JSON file look like a file of labelme's."""
    return b'"shapes"' in raw and b'"imagePath"' in raw


def read(source: Path, choices: Choices, tally: Tally) -> LabelledSet:
    """Read a folder of labelme's files.

    Raises:
        InputError: a file, a shape or an image cannot be used.
    """
    images = Images(source, tally, choices)
    listed, labelled = [], set()
    for file in over(image_files.find(source, (".json",)), "reading labels", "files"):
        raw = read_bytes(file, WHAT)
        if not is_labelme(raw):
            tally.add("other file", file.relative_to(source))
            continue
        image = _image(file, _checked(parse(raw, file, WHAT), file), images, tally)
        if image is not None:
            listed.append(image)
            labelled.add(image.file)
    n_objects = sum(len(image.objects) for image in listed)
    images.refuse(n_objects)
    for file in images.files:
        if file not in labelled:
            tally.add("unlabelled", file.relative_to(source))
    listed = _boxes_or_corners(listed, choices, tally)
    return LabelledSet(listed, sorted({drawn.category for image in listed for drawn in image.objects}))


def _checked(content: Any, file: Path) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise InputError(f'{file}: expected {WHAT} with a list "shapes", found {shown(content)}; save it anew')
    if not is_one_line(content.get("imagePath")):
        raise InputError(f'{file}: expected "imagePath", found {shown(content.get("imagePath"))}; save it anew')
    return content


def _image(file: Path, content: dict[str, Any], images: Images, tally: Tally) -> LabelledImage | None:
    picture = images.find(content["imagePath"], file.parent) or images.find_stem(file.stem, file.parent)
    stated = tuple(_side(content.get(key), key, file) for key in ("imageWidth", "imageHeight"))
    name = file.relative_to(images.source)
    if picture is not None:
        width, height = images.measure(picture, (stated[0], stated[1]))
        image = LabelledImage(picture, images.relative(picture), width, height, split=split_of(name))
    elif content.get("imageData"):
        encoded = _decoded(content["imageData"], f'{file}: "imageData"')
        width, height = images.measure(file, (stated[0], stated[1]), encoded)
        tally.add("embedded", name)
        own = name.with_suffix(_suffix(encoded))
        image = LabelledImage(file, own, width, height, split=split_of(name), embedded=partial(embedded_image, file))
    else:
        images.missing(f"{content['imagePath']} of {name}")
        return None
    image.objects.extend(_objects(content["shapes"], file, image, tally))
    return image


def embedded_image(file: Path) -> bytes:
    """Return the image inside a labelme file, encoded as it was.

    Raises:
        InputError: the file is no labelme file, or no image is in it.
    """
    content = _checked(parse(read_bytes(file, WHAT), file, WHAT), file)
    return _decoded(content.get("imageData"), f'{file}: "imageData"')


def _decoded(text: Any, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise InputError(f"{where}: expected base64, found {shown(text)}; save it anew") from None


def _suffix(encoded: bytes) -> str:
    try:
        with Image.open(io.BytesIO(encoded), formats=tuple(_SUFFIXES)) as image:
            return _SUFFIXES[image.format or "PNG"]
    except Exception:  # what damaged images raise has no common base; ``Images.measure`` has counted it
        return ".png"


def _side(value: Any, key: str, file: Path) -> float:
    if value is None:
        return 0
    if type(value) not in (int, float) or not 0 <= value < _FAR:
        raise InputError(f'{file}: expected "{key}" in pixels, found {shown(value)}; save it anew')
    return float(value)


def _objects(entries: list[Any], file: Path, image: LabelledImage, tally: Tally) -> Iterator[DrawnObject]:
    groups: dict[tuple[str, Any], list[tuple[str, Any]]] = {}
    for i, entry in enumerate(entries):
        where = f"{file.name}: shapes[{i}]"
        label, group = _label(entry, f"{file}: shapes[{i}]")
        if label in _NO_CLASS:
            tally.add("ignored", where)
            continue
        part = _part(entry, f"{file}: shapes[{i}]", where, image, tally)
        if part is not None:
            groups.setdefault((label, i if group is None else ("group", group)), []).append((where, part))
    for (label, _), parts in groups.items():
        yield _joined(label, parts[0][0], [part for _, part in parts], image)


def _label(entry: Any, place: str) -> tuple[str, Any]:
    if not isinstance(entry, dict):
        raise InputError(f"{place}: expected a shape, found {shown(entry)}; save it anew")
    label, group = entry.get("label"), entry.get("group_id")
    if not is_one_line(label):
        raise InputError(f'{place}: expected a "label" of one line, found {shown(label)}; name the class')
    if type(group) not in (int, str, type(None)):
        raise InputError(f'{place}: expected a number as "group_id", found {shown(group)}; correct it')
    return str(label).strip(), group


def _part(entry: dict[str, Any], place: str, where: str, image: LabelledImage, tally: Tally) -> Any:
    """Return a polygon, ("rectangle", polygon) or a run-length code; None for what has no area."""
    kind = entry.get("shape_type") or "polygon"  # files of before version 4 say none
    if not isinstance(kind, str):
        raise InputError(f'{place}: expected "shape_type" as a text such as polygon, found {shown(kind)}; correct it')
    if kind in _LINES or kind not in {*_POLYGONS, "rectangle", "circle", "mask"}:
        tally.add("no area" if kind in _LINES else "unknown shape", f"{where}, {kind}")
        return None
    points = _points(entry.get("points"), place)
    if kind in _POLYGONS or (kind == "rectangle" and len(points) == 4):
        polygon = [value for point in points for value in point]
        return ("rectangle", polygon) if kind == "rectangle" and _is_upright(points) else polygon
    if len(points) != 2:
        raise InputError(f"{place}: expected two points of a {shown(kind)}, found {len(points)}; draw it anew")
    (x1, y1), (x2, y2) = points
    if kind == "circle":
        return shapes.circle(x1, y1, math.hypot(x2 - x1, y2 - y1))  # its centre and a point on it
    if kind == "mask":
        return _mask(entry.get("mask"), points, place, image)
    return "rectangle", shapes.rectangle(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def _points(value: Any, place: str) -> list[list[float]]:
    if isinstance(value, list) and all(
        isinstance(p, list) and len(p) == 2 and all(type(v) in (int, float) and -_FAR < v < _FAR for v in p)
        for p in value
    ):
        return value
    raise InputError(f'{place}: expected "points" as a list of [x, y], found {shown(value)}; draw it anew')


def _is_upright(points: list[list[float]]) -> bool:
    return len({x for x, _ in points}) == 2 and len({y for _, y in points}) == 2


def _mask(text: Any, points: list[list[float]], place: str, image: LabelledImage) -> dict[str, Any]:
    """Return the PNG of a mask shape, which covers the rectangle of its points, as a code of the whole image."""
    try:
        with Image.open(io.BytesIO(_decoded(text, f'{place}: "mask"')), formats=("PNG",)) as opened:
            patch = np.asarray(opened)
    except InputError:
        raise
    except Exception as error:  # as in _suffix
        raise InputError(f'{place}: expected a PNG as "mask", found {type(error).__name__}; draw it anew') from None
    if patch.ndim != 2:
        raise InputError(f'{place}: expected a grey PNG as "mask", found {patch.ndim} dimensions; draw it anew')
    whole = np.zeros((image.height, image.width), np.uint8)
    left, top = (round(v) for v in points[0])
    height, width = patch.shape
    x1, y1 = max(0, left), max(0, top)
    x2, y2 = min(image.width, left + width), min(image.height, top + height)
    if x2 > x1 and y2 > y1:
        whole[y1:y2, x1:x2] = patch[y1 - top : y2 - top, x1 - left : x2 - left] != 0
    return shapes.encode(whole)


def _joined(label: str, where: str, parts: list[Any], image: LabelledImage) -> DrawnObject:
    """Return the object of one group: a rectangle alone as a box, otherwise polygons, or their union with masks."""
    if len(parts) == 1 and isinstance(parts[0], tuple):
        return DrawnObject(label, where, box=shapes.polygon_extent([parts[0][1]]))
    polygons: list[Polygon] = [
        part[1] if isinstance(part, tuple) else part for part in parts if not isinstance(part, dict)
    ]
    codes = [part for part in parts if isinstance(part, dict)]
    if not codes:
        return DrawnObject(label, where, polygons=polygons)
    inside = [p for polygon in polygons if len(p := shapes.clip(polygon, image.width, image.height)) >= 6]
    if inside:
        codes.append(shapes.draw(inside, image.width, image.height))
    return DrawnObject(label, where, code=shapes.merge(codes))


def _boxes_or_corners(listed: list[LabelledImage], choices: Choices, tally: Tally) -> list[LabelledImage]:
    """Leave rectangles as boxes in a set of nothing else; among other shapes they are masks of four corners."""
    drawn = [one for image in listed for one in image.objects]
    if not choices.masks or all(one.box is not None for one in drawn):
        return listed
    for image in listed:
        for i, one in enumerate(image.objects):
            if one.box is not None:
                x, y, width, height = one.box
                corners = shapes.rectangle(x, y, x + width, y + height)
                tally.add("rectangles", one.where)
                image.objects[i] = DrawnObject(one.category, one.where, polygons=[corners])
    return listed
