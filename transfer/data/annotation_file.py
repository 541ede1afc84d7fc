"""The one reader of COCO- and LVIS-format annotation files: every command's data comes in here.

What it returns is plain: ids are whole numbers of any size or texts, sizes whole numbers, ``iscrowd`` 0 or 1, boxes
four finite numbers, and nothing refers to what is not there. What boxes and masks are worth is asked by ``check``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.data.ids import Id, is_one_line, lost_digits, numbers, plain
from transfer.data.rules import CHANGED, Problems
from transfer.errors import InputError
from transfer.files.decode import shown
from transfer.files.json_files import large_values, parse, read_bytes
from transfer.progress import over

WHAT = "a COCO annotation file"
MOST_PIXELS = 2**30  # of an image: what a number of a run-length code can count
_LISTS = ("images", "annotations", "categories")
_NUMBER = (int, float)
_TOO_LARGE = 1e15  # for pixels; whole numbers may have more digits than any float


@dataclass(frozen=True)
class Annotations:
    """An annotation file, plain.

    Attributes:
        file: where it lies.
        sha256: of its bytes.
        content: ``images``, ``annotations`` and ``categories``; other lists of the file are left out.
        changes: one line for each thing that was put right.
        dropped: ids of categories that were left out as placeholders.
    """

    file: Path
    sha256: str
    content: dict[str, list[dict[str, Any]]]
    changes: tuple[str, ...]
    dropped: frozenset[Id]


@large_values()
def read(file: Path, *, names: bool, raw: bytes | None = None) -> Annotations:
    """Read an annotation file.

    Args:
        file: JSON in UTF-8.
        raw: its bytes, where they are at hand.
        names: whether its images need a ``file_name``, which LVIS's have not.

    Raises:
        InputError: no such file, no annotation file, or entries that no command can use; one line with all counts.
    """
    raw = read_bytes(file, WHAT) if raw is None else raw
    content = parse(raw, file, WHAT)
    _check_lists(content, file)
    if _lost_digits(content):
        content = parse(raw, file, WHAT, exact=True)
    problems = Problems()
    images = [one for i, entry in enumerate(content["images"]) if (one := _image(entry, i, names, problems))]
    categories = [one for i, entry in enumerate(content["categories"]) if (one := _category(entry, i, problems))]
    entries = content["annotations"]
    read_entries = enumerate(over(entries, f"reading {file.name}", "annotations"))
    annotations = [one for i, entry in read_entries if (one := _annotation(entry, i, problems))]
    _check_ids({"image": images, "annotation": annotations, "category": categories}, problems)
    _check_references(images, annotations, categories, problems)
    problems.refuse(file, len(content["images"]), len(entries))
    _check_lvis(images, categories, problems)
    problems.refuse(file, len(content["images"]), len(entries))
    dropped = _placeholders(categories, annotations)
    for category in categories:
        if category["id"] in dropped:
            problems.add("placeholder", shown(category["name"]))
    plain_content = {
        "images": images,
        "annotations": annotations,
        "categories": [category for category in categories if category["id"] not in dropped],
    }
    changes = tuple(problems.lines(CHANGED))
    return Annotations(file, hashlib.sha256(raw).hexdigest(), plain_content, changes, frozenset(dropped))


def _check_lists(content: Any, file: Path) -> None:
    if isinstance(content, list) and content and isinstance(content[0], dict) and "score" in content[0]:
        raise InputError(f"{file}: expected {WHAT}, found a list of detections; are --gt and --detections swapped?")
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a COCO object, found {type(content).__name__}; give {WHAT}")
    for name in _LISTS:
        entries = content.get(name)
        if not isinstance(entries, list) or (not entries and name != "annotations"):
            content_kind = f"{len(entries)} entries" if isinstance(entries, list) else _listed(content)
            raise InputError(f'{file}: expected a list "{name}" with entries, found {content_kind}; give {WHAT}')


def _listed(content: dict[str, Any]) -> str:
    return ", ".join(shown(key) for key in list(content)[:8]) or "nothing"


def _lost_digits(content: dict[str, Any]) -> bool:
    for name, keys in (
        ("images", ("id",)),
        ("categories", ("id",)),
        ("annotations", ("id", "image_id", "category_id")),
    ):
        entries = [entry for entry in content[name] if isinstance(entry, dict)]
        if any(lost_digits(entry.get(key) for entry in entries) for key in keys):
            return True
    return False


def _with_id(entry: Any, where: str, problems: Problems) -> dict[str, Any] | None:
    if type(entry) is not dict:
        problems.add("no object", f"{where}: {shown(entry)}")
        return None
    value = entry.get("id")
    if type(value) is int:
        return entry
    number = plain(value)
    if number is None:
        problems.add("id", f"{where}: {shown(value)}")
        return None
    return {**entry, "id": number}


def _image(entry: Any, i: int, names: bool, problems: Problems) -> dict[str, Any] | None:
    where = f"images[{i}]"
    image = _with_id(entry, where, problems)
    if image is None:
        return None
    width, height = _whole(image.get("width")), _whole(image.get("height"))
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        problems.add("size", f"{where}: {shown(image.get('width'))} x {shown(image.get('height'))}")
    if names and not is_one_line(image.get("file_name")):
        problems.add("file_name", f"{where}: {shown(image.get('file_name'))}")
    return {**image, "width": width, "height": height}


def _whole(value: Any) -> int:
    """Return a whole number, also one written as a float; 0 for anything else."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else 0


def _category(entry: Any, i: int, problems: Problems) -> dict[str, Any] | None:
    category = _with_id(entry, f"categories[{i}]", problems)
    if category is not None and not is_one_line(category.get("name")):
        problems.add("name", f"categories[{i}]: {shown(category.get('name'))}")
        return None
    return category


def _annotation(entry: Any, i: int, problems: Problems) -> dict[str, Any] | None:
    if type(entry) is dict and "id" not in entry:
        entry = {**entry, "id": f"annotations[{i}]"}  # nothing refers to it; messages do
    annotation = _with_id(entry, f"annotations[{i}]", problems)
    if annotation is None:
        return None
    changed: dict[str, Any] = {}
    for key in ("image_id", "category_id"):
        value = annotation.get(key)
        if type(value) is not int:
            number = plain(value)
            if number is None:
                problems.add("id", f"{where_of(annotation)}: {key} {shown(value)}")
                return None
            changed[key] = number
    if not is_box(annotation.get("bbox")):
        problems.add("bbox", f"{where_of(annotation)} {shown(annotation.get('bbox'))}")
        return None
    area: Any = annotation.get("area")
    crowd = annotation.get("iscrowd", 0)
    if type(area) not in _NUMBER or not 0 <= area < _TOO_LARGE:  # False for NaN
        problems.add("area", f"{where_of(annotation)}: {shown(area)}")
        return None
    if type(crowd) not in (int, float, bool) or crowd not in (0, 1):
        problems.add("iscrowd", f"{where_of(annotation)}: {shown(crowd)}")
        return None
    if annotation.get("ignore"):
        # pycocotools overwrites it, hotcoco and Detectron2 do not.
        problems.add("ignore", where_of(annotation))
    if type(crowd) is not int or "iscrowd" not in annotation:
        changed["iscrowd"] = int(crowd)
    return {**annotation, **changed} if changed else annotation


def is_box(value: Any) -> bool:
    """Whether a value is a list of four finite numbers."""
    return (
        type(value) is list
        and len(value) == 4
        and all(type(v) in _NUMBER and -_TOO_LARGE < v < _TOO_LARGE for v in value)  # False for NaN
    )


def where_of(annotation: dict[str, Any]) -> str:
    """Return what a message calls an annotation: by its id."""
    own = annotation["id"]
    return own if isinstance(own, str) and own.startswith("annotations[") else f"annotation {shown(own)}"


def _check_ids(lists: dict[str, list[dict[str, Any]]], problems: Problems) -> None:
    for name, entries in lists.items():
        own = [entry["id"] for entry in entries]
        if len(set(own)) < len(own):
            for value, count in Counter(own).items():
                if count > 1:
                    problems.add(f"duplicate {name}", shown(value))
        if name != "annotation" and len({type(value) for value in own}) > 1:
            problems.add("mixed ids", f"{name} ids {shown(next(value for value in own if isinstance(value, str)))}")
    for value, count in Counter(entry["name"] for entry in lists["category"]).items():
        if count > 1:
            problems.add("duplicate name", shown(value))


def _check_references(
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    problems: Problems,
) -> None:
    for key, rule, entries in (
        ("image_id", "unknown image", images),
        ("category_id", "unknown category", categories),
    ):
        known = {entry["id"] for entry in entries}
        for annotation in annotations:
            if annotation[key] not in known:
                problems.add(rule, f"{where_of(annotation)}: {key} {shown(annotation[key])}")


def is_lvis(images: list[dict[str, Any]]) -> bool:
    """Whether the file says of its images which classes were looked for, as LVIS does."""
    return any("neg_category_ids" in image for image in images)


def _check_lvis(images: list[dict[str, Any]], categories: list[dict[str, Any]], problems: Problems) -> None:
    if not is_lvis(images):
        return
    known = {category["id"] for category in categories}
    for image in images:
        for key in ("neg_category_ids", "not_exhaustive_category_ids"):
            listed = image.get(key, [])
            own = [plain(value) for value in listed] if isinstance(listed, list) else [None]
            if None in own:
                problems.add("lvis ids", f"image {shown(image['id'])}: {key} {shown(listed)}")
            image[key] = [one for one in own if one in known]
            if len(image[key]) < len(own):
                problems.add(
                    "lvis unknown", f"image {shown(image['id'])}: {key} {shown(listed)}", len(own) - len(image[key])
                )
    for category in categories:
        if "frequency" in category and category["frequency"] not in ("r", "c", "f"):
            problems.add("frequency", f"{shown(category['name'])}: {shown(category['frequency'])}")


def _placeholders(categories: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> set[Id]:
    """Return the ids of categories without an annotation that are there to name the supercategory of all others."""
    used = {annotation["category_id"] for annotation in annotations}
    if not used:
        return set()
    above = {shown(c.get("supercategory")) for c in categories if c.get("supercategory") != c["name"]}
    chosen = {c["id"] for c in categories if c["id"] not in used and shown(c["name"]) in above}
    names = {c["name"] for c in categories if c["id"] in chosen}
    others = [c for c in categories if c["id"] not in chosen]
    everything = others and all(isinstance(c.get("supercategory"), str) and c["supercategory"] in names for c in others)
    return chosen if everything else set()


def numbered(entries: list[dict[str, Any]]) -> dict[Id, int]:
    """Return id -> number from 1 on for a list of images or categories, in the order of their ids."""
    return numbers(entry["id"] for entry in entries)
