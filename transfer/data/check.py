"""What would spoil a run on a data set, found before hours are spent on it.

Nothing here needs Detectron2: what is wrong with a data set is said in seconds, before the framework is imported. What
has been checked once in a process is remembered by the file's fingerprint.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from transfer.data import masks as mask_checks
from transfer.data.annotation_file import where_of
from transfer.data.coco import CocoSet
from transfer.data.rules import CHANGED, COUNTED, COUNTED_ONLY, Problems
from transfer.files import pixels
from transfer.progress import over

# A box may pass the border by this many pixels: annotation tools differ on whether a border pixel counts.
BORDER = 1.0
# Images whose headers are read: a few seconds, however large the set.
OPENED = 5000
_HEADER = 1 << 18  # bytes of a file that hold its header; some put a preview or a colour profile first
_LEAST = 8  # pixels: in a smaller image a box can have four numbers up to 1

_CHECKED: dict[tuple[str, str, bool], list[str]] = {}


def check(data: CocoSet, *, masks: bool) -> list[str]:
    """Look for what would spoil a run; return what is left out, clipped or odd, one line each, to be logged.

    Args:
        data: the set.
        masks: whether masks are trained on or measured.

    Raises:
        InputError: something no run can use, or more than 1 % of the boxes or masks are bad; one line with all counts.
    """
    key = (data.fingerprint, str(data.images.absolute()), masks)
    if key not in _CHECKED:
        problems = Problems()
        _check_files(data, problems)
        check_objects(data.content, masks=masks, problems=problems)
        problems.refuse(data.annotations, data.n_images, data.n_instances)
        _CHECKED[key] = problems.lines(COUNTED, CHANGED, COUNTED_ONLY)
    return _CHECKED[key]


def check_objects(content: dict[str, Any], *, masks: bool, problems: Problems) -> None:
    """Count what is wrong with the boxes, areas and, where ``masks`` are wanted, masks of a plain content.

    Args:
        content: as ``transfer.data.annotation_file`` reads it; polygons of fewer than three points are taken out.
        masks: whether masks are trained on or measured.
        problems: takes them.
    """
    annotations = content["annotations"]
    if not annotations:
        return
    by_id = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    sizes = np.array([by_id[a["image_id"]] for a in annotations], np.float64)
    boxes = np.array([a["bbox"] for a in annotations], np.float64)
    areas = np.array([a["area"] for a in annotations], np.float64)
    shapes = mask_checks.check(annotations, sizes, problems) if masks else None
    bad = _check_boxes(annotations, boxes, areas, sizes, shapes, problems)
    _check_areas(annotations, boxes, areas, sizes, shapes, bad, problems)
    if shapes is not None:
        mask_checks.compare(annotations, boxes, sizes, shapes, bad, problems)


def _add(
    rule: str, where: NDArray[np.bool_], annotations: list[dict[str, Any]], problems: Problems, detail: Any
) -> None:
    """Count a rule's problems; the example is the first one."""
    if where.any():
        i = int(np.flatnonzero(where)[0])
        problems.add(rule, f"{where_of(annotations[i])} {detail(i)}", int(where.sum()))


def _check_boxes(
    annotations: list[dict[str, Any]],
    boxes: NDArray[np.float64],
    areas: NDArray[np.float64],
    sizes: NDArray[np.float64],
    shapes: mask_checks.Shapes | None,
    problems: Problems,
) -> NDArray[np.bool_]:
    """Count bad boxes, each under one rule; return (N,) which they are."""

    def detail(i: int) -> str:
        return f"{annotations[i]['bbox']} in {sizes[i, 0]:.0f}x{sizes[i, 1]:.0f}"

    empty: Any = (boxes[:, 2:] <= 0).any(1)
    fractions = ~empty & in_fractions(boxes, sizes)
    outside = ~empty & ~fractions & beyond(boxes, sizes, BORDER)
    corners = ~empty & ~fractions & _as_corners(boxes, areas, sizes, shapes, outside)
    outside &= ~corners
    _add("empty box", empty, annotations, problems, lambda i: annotations[i]["bbox"])
    _add("fractions", fractions, annotations, problems, detail)
    _add("corners", corners, annotations, problems, detail)
    _add("box outside", outside, annotations, problems, detail)
    return empty | fractions | corners | outside


def in_fractions(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N,) whether a box, (N, 4), has only numbers in 0-1, in an image above a few pixels."""
    ends = boxes[:, :2] + boxes[:, 2:]
    small = (boxes >= -0.01).all(1) & (boxes <= 1).all(1) & (ends <= 1.51).all(1)  # centre and size reach 1.5
    return small & (sizes >= _LEAST).all(1) & ~((boxes == np.floor(boxes)).all(1))  # whole numbers are pixels


def beyond(
    boxes: NDArray[np.float64], sizes: NDArray[np.float64], border: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return (N,) whether a box reaches more than ``border`` pixels (a number, or (N, 1)) over its image's border."""
    ends = boxes[:, :2] + boxes[:, 2:]
    over: Any = (boxes[:, :2] < -border).any(1) | (ends > sizes + border).any(1)
    return over


def corners_fit(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N,) whether the four numbers make a box inside the image when they are read as x1, y1, x2, y2."""
    fit: Any = (
        (boxes[:, 2:] > boxes[:, :2]).all(1)
        & (boxes[:, :2] >= -BORDER).all(1)
        & (boxes[:, 2:] <= sizes + BORDER).all(1)
    )
    return fit


def _as_corners(
    boxes: NDArray[np.float64],
    areas: NDArray[np.float64],
    sizes: NDArray[np.float64],
    shapes: mask_checks.Shapes | None,
    outside: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which boxes are corners: as such they fit the mask, or the area, or at least the image, and as is not."""
    fit = corners_fit(boxes, sizes) & (boxes[:, :2] > 0).any(1)  # from the image's own corner both are the same
    sides = boxes[:, 2:] - boxes[:, :2]
    as_corners, as_is = sides.prod(1), boxes[:, 2:].prod(1)
    by_area = np.isclose(areas, as_corners, rtol=1e-3, atol=0.5) & ~np.isclose(areas, as_is, rtol=0.1, atol=4)
    by_mask = np.zeros(len(boxes), np.bool_)
    if shapes is not None:  # a mask says more than an area, which may be the mask's
        by_area &= ~shapes.there
        by_mask = mask_checks.close(shapes.extents, boxes, 1.0) & shapes.there
        ends = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        by_mask &= ~mask_checks.close(shapes.extents, ends)
    return fit & (outside | by_area | by_mask)


def _check_areas(
    annotations: list[dict[str, Any]],
    boxes: NDArray[np.float64],
    areas: NDArray[np.float64],
    sizes: NDArray[np.float64],
    shapes: mask_checks.Shapes | None,
    bad: NDArray[np.bool_],
    problems: Problems,
) -> None:
    """Count areas that say another of COCO's sizes than box and mask can have: beyond twice, or below half, of them.

    The area may be the box's or the mask's; without the mask at hand a mask of a hundredth of the box is the smallest.
    """
    box = boxes[:, 2:].prod(1)
    most, least = box, 0.01 * box
    if shapes is not None:
        most = np.where(shapes.there, np.maximum(box, shapes.areas), box)
        least = np.where(shapes.there, 0.5 * np.minimum(box, shapes.areas), least)
    wrong = ~bad & ((areas > 2 * most + 4) | (areas < least - 4))
    whole = wrong & (areas >= sizes.prod(1) - 0.5)

    def detail(i: int) -> str:
        return f'"area" {areas[i]:g}, box {annotations[i]["bbox"]}'

    _add("whole area", whole, annotations, problems, detail)
    _add("area contradicts", wrong & ~whole, annotations, problems, detail)


def _check_files(data: CocoSet, problems: Problems) -> None:
    """Look for every file, and into the headers of at most ``OPENED`` of them, spread over the set."""
    step = -(-data.n_images // OPENED)
    images = data.content["images"]
    named = Counter(str(Path(image["file_name"])) for image in images)
    for name, count in named.items():
        if count > 1:
            problems.add("same file", name, count - 1)
    for i, image in enumerate(over(images, "looking for images", "images")):
        path = data.images / image["file_name"]
        try:
            there = path.is_file()
        except (OSError, ValueError):  # a name that no file system takes
            there = False
        if not there:
            problems.add("missing file", image["file_name"])
        elif i % step == 0:
            _check_header(path, image, problems)


def _check_header(path: Path, image: dict[str, Any], problems: Problems) -> None:
    wanted = (image["width"], image["height"])
    try:
        upright, stored = header_sizes(path)
    except (OSError, ValueError) as error:
        problems.add("unreadable", f"{image['file_name']}, {error}")
        return
    if upright == wanted:
        return
    sizes = f"{image['file_name']}, {upright[0]}x{upright[1]} for {wanted[0]}x{wanted[1]}"
    problems.add("stored size" if stored == wanted else "other size", sizes)


def header_sizes(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (width, height) of an image file, upright and as stored, as ``pixels.sizes`` does."""
    with path.open("rb") as file:
        start = file.read(_HEADER)
        try:
            return pixels.sizes(start + _end(file) if start.startswith(pixels.PNG_SIGNATURE) else start)
        except ValueError:
            rest = file.read()
            if not rest:
                raise
            return pixels.sizes(start + rest)


def _end(file: BinaryIO) -> bytes:
    """Return the last bytes of a file that has been read up to the header's end; the file stays where it is."""
    here = file.tell()
    last = file.seek(0, os.SEEK_END)
    file.seek(max(here, last - _HEADER // 4))
    end = file.read()
    file.seek(here)
    return end
