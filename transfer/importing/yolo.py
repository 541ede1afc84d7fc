"""YOLO's folders: a text file of rows in fractions of the image beside each image, class names in ``data.yaml``.

The format is that of Ultralytics' pages on detection and segmentation data sets, and of what CVAT, Roboflow and Label
Studio export under its name: ``class x y width height`` (of the centre), or ``class x1 y1 x2 y2 x3 y3 ...``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from transfer.data.ids import is_one_line
from transfer.errors import InputError
from transfer.files.decode import shown
from transfer.files.image_files import find
from transfer.importing.images import Images, split_of
from transfer.importing.objects import Choices, DrawnObject, LabelledImage, LabelledSet
from transfer.importing.tally import Tally
from transfer.progress import over

_LISTS = ("classes.txt", "obj.names", "_darknet.labels")  # Label Studio, CVAT's YOLO 1.1, Roboflow's Darknet
_SPLITS = ("train", "val", "test")
_BEYOND = 0.5  # of the image, by which a fraction may lie outside; further out it is none


def description(source: Path) -> Path | None:
    """Return the file that names the classes; None where there is none."""
    for file in find(source, (".yaml", ".yml")):
        content = _yaml(file)
        if isinstance(content, dict) and "names" in content:
            return file
    texts = find(source, (".txt", ".names", ".labels"))
    return next((file for name in _LISTS for file in texts if file.name == name), None)


def read(source: Path, choices: Choices, tally: Tally) -> LabelledSet:
    """Read a folder in YOLO's format.

    Raises:
        InputError: no class names, no labels, or a row or an image that cannot be used.
    """
    about = description(source)
    if about is None:
        raise InputError(f"{source}: expected class names in data.yaml or classes.txt, found none; add one")
    names, content = _names(about)
    images = Images(source, tally, choices)
    splits = _splits(about, content, images)
    labels = {file for file in find(source, (".txt",)) if file.name not in _LISTS}
    keypoints = _keypoints(about, content)
    listed, used = [], set()
    for image in over(images.files, "reading labels", "images"):
        own = image.relative_to(source)
        if splits and image not in splits:
            tally.add("in no list", own)
            continue
        width, height = images.measure(image, None)
        one = LabelledImage(image, own, width, height, split=splits.get(image) or split_of(own))
        if (file := _label_file(image, labels)) is not None:
            used.add(file)
            one.objects.extend(_rows(file, names, one, keypoints, tally))
        listed.append(one)
    if not used:
        raise InputError(f"{source}: expected a text file of labels for some image, found none; are they elsewhere?")
    for file in sorted(labels - used):
        if not splits and _is_rows(file) and images.find_stem(file.stem, file.parent) is None:
            images.missing(str(file.relative_to(source)))
    images.refuse(sum(len(image.objects) for image in listed))
    return LabelledSet(listed, names)


def _yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None


def _names(file: Path) -> tuple[list[str], dict[str, Any]]:
    """Return the class names in the order of their numbers, and what else a YAML file says."""
    if file.suffix not in (".yaml", ".yml"):
        return _checked([line.strip() for line in _text(file).splitlines() if line.strip()], file), {}
    content = _yaml(file)
    names = content["names"]
    if isinstance(names, dict):
        numbers = {int(k): v for k, v in names.items() if type(k) is int or (isinstance(k, str) and k.isdigit())}
        if len(numbers) < len(names) or sorted(numbers) != list(range(len(numbers))):
            raise InputError(
                f"{file}: names: expected classes numbered 0, 1, 2 ..., found {shown(list(names))}; correct it"
            )
        names = [numbers[i] for i in range(len(numbers))]
    if isinstance(names, list):
        return _checked([str(n) if type(n) in (int, float, bool) else n for n in names], file), content
    raise InputError(f"{file}: names: expected a list or numbers with names, found {shown(names)}; correct it")


def _checked(names: list[Any], file: Path) -> list[str]:
    if not names or not all(is_one_line(name) for name in names) or len(set(names)) < len(names):
        raise InputError(f"{file}: expected class names, each once, found {shown(names)}; correct them")
    return names


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: expected a text file in UTF-8, found {type(error).__name__}; save it anew") from None


def _keypoints(about: Path, content: dict[str, Any]) -> int:
    shape = content.get("kpt_shape")
    if shape is None:
        return 0
    if isinstance(shape, list) and len(shape) == 2 and all(type(v) is int and v > 0 for v in shape):
        return int(shape[0] * shape[1])
    raise InputError(f"{about}: kpt_shape: expected two whole numbers, found {shown(shape)}; correct it")


def _splits(about: Path, content: dict[str, Any], images: Images) -> dict[Path, str]:
    """Return image -> split as ``data.yaml`` says; empty where it names none that is there.

    A value is a folder, a list of images, or several; Roboflow writes ``../train/images`` for the ``train/images``
    beside the file, and names a ``test`` that it does not deliver.
    """
    root = content.get("path")
    bases = [about.parent / root] if isinstance(root, str) and "\0" not in root else []
    bases.append(about.parent)
    chosen: dict[Path, str] = {}
    known = set(images.files)
    for split in _SPLITS:
        values = content.get(split)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str) and "\0" not in value:
                for file in _listed(value, bases, images):
                    if file in known:
                        chosen.setdefault(file, split)
    return chosen


def _listed(value: str, bases: list[Path], images: Images) -> list[Path]:
    inside = "/".join(part for part in value.replace("\\", "/").split("/") if part not in ("..", "."))
    for base in bases:
        for place in (base / value, base / inside.lstrip("/")):
            if place.is_dir() and images.source.resolve() in (place.resolve(), *place.resolve().parents):
                folder = place.resolve()
                return [file for file in images.files if folder in file.resolve().parents]
            if place.is_file() and place.suffix == ".txt":
                names = [line.strip() for line in _text(place).splitlines() if line.strip()]
                return [file for name in names if (file := images.find(name, place.parent)) is not None]
    return []


def _label_file(image: Path, labels: set[Path]) -> Path | None:
    """Return an image's text file: below ``labels`` where it lies below ``images``, or beside it."""
    parts = image.with_suffix(".txt").parts
    at = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    places = [Path(*parts[: at[-1]], "labels", *parts[at[-1] + 1 :])] if at else []
    return next((file for file in (*places, Path(*parts)) if file in labels), None)


def _is_rows(file: Path) -> bool:
    return file.parent.name == "labels" or "labels" in file.parts


def _rows(file: Path, names: list[str], image: LabelledImage, keypoints: int, tally: Tally) -> list[DrawnObject]:
    objects = []
    for number, line in enumerate(_text(file).splitlines(), 1):
        if words := line.split():
            place = f"{file}, line {number}"
            category = _category(words[0], names, place)
            if keypoints and len(words) == 5 + keypoints:
                tally.add("keypoints", f"{file.name}, line {number}")
                words = words[:5]
            values = [_fraction(word, place) for word in words[1:]]
            objects.append(_row(category, values, f"{file.name}, line {number}", place, image))
    return objects


def _category(word: str, names: list[str], place: str) -> str:
    try:
        value = float(word)  # some tools write 0.0
    except ValueError:
        value = -1.0
    if not value.is_integer() or not 0 <= value < len(names):
        raise InputError(f"{place}: expected a class from 0 to {len(names) - 1}, found {shown(word)}; correct it")
    return names[int(value)]


def _fraction(word: str, place: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not -_BEYOND <= value <= 1 + _BEYOND:  # False for NaN
        raise InputError(f"{place}: expected fractions of the image, 0-1, found {shown(word)}; divide by its size")
    return value


def _row(category: str, values: list[float], where: str, place: str, image: LabelledImage) -> DrawnObject:
    if len(values) == 4:
        x, y, width, height = values
        wide, high = width * image.width, height * image.height
        box = (x * image.width - wide / 2, y * image.height - high / 2, wide, high)
        return DrawnObject(category, where, box=box)
    if len(values) < 6 or len(values) % 2:
        raise InputError(
            f"{place}: expected a class and 4 numbers of a box, or 6 or more of a polygon, found {len(values)} "
            "numbers; a fifth is a prediction's score: give labels"
        )
    sides = (image.width, image.height)
    return DrawnObject(category, where, polygons=[[value * sides[i % 2] for i, value in enumerate(values)]])
