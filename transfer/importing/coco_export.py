"""COCO files as annotation tools export them: CVAT, Roboflow and Label Studio above all.

What they leave out is filled in before the one reader of annotation files (``transfer.data.annotation_file``) judges
the rest. Where each keeps its files: CVAT ``annotations/instances_SUBSET.json`` and ``images/SUBSET``, Roboflow
``SPLIT/_annotations.coco.json`` beside the images, Label Studio ``result.json`` (or ``result_coco.json``) and
``images``, with rectangles whose ``segmentation`` is empty and images whose width and height may be null.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from transfer.data import annotation_file, check, coco, masks
from transfer.data.annotation_file import Annotations, where_of
from transfer.data.rules import REFUSED, RULES, Problems
from transfer.errors import InputError
from transfer.files import image_files
from transfer.files.decode import shown
from transfer.files.json_files import encode, parse, read_bytes
from transfer.importing import shapes
from transfer.importing.images import Images, split_named, split_of
from transfer.importing.objects import Choices, DrawnObject, LabelledImage, LabelledSet
from transfer.importing.tally import Tally

_BESIDE = ("person_keypoints_", "captions_", "stuff_", "panoptic_", "labels_")  # CVAT's and COCO's other tasks
_AFFIXES = re.compile(r"^instances_|^_annotations\.coco$|^_annotations$|^result(_coco)?$", re.IGNORECASE)
_NUMBERS = {int, float}


def is_coco(raw: bytes) -> bool:
    """Whether the bytes of a JSON file look like a COCO annotation file."""
    return all(f'"{name}"'.encode() in raw for name in ("images", "annotations", "categories"))


def read(source: Path, choices: Choices, tally: Tally) -> LabelledSet:
    """Read the COCO files of a folder as one set; each file is a split where its name or folder says so.

    Raises:
        InputError: a file cannot be used, or images are missing or of another size than it says.
    """
    images = Images(source, tally, choices)
    files = []
    for file in image_files.find(source, (".json",)):
        if file.name.startswith(_BESIDE) or not is_coco(read_bytes(file, annotation_file.WHAT)):
            tally.add("other file", file.relative_to(source))
        else:
            files.append(file)
    if not files:
        raise InputError(f"{source}: expected {annotation_file.WHAT}, found none; give the folder that holds it")
    listed: list[LabelledImage] = []
    read_files = []
    for file in files:
        split = _split(file.relative_to(source), len(files))
        one = _read_file(file, images, tally)
        read_files.append(one)
        listed += _images(one, split, images)
    images.refuse(sum(len(image.objects) for image in listed))
    labelled = {image.file for image in listed}
    for image in images.files:
        if image not in labelled:
            tally.add("unlabelled", image.relative_to(source))
    return LabelledSet(listed, _categories(read_files, tally))


def _split(own: Path, files: int) -> str | None:
    split = split_named(own.stem) or split_of(own)
    if split is not None or files == 1:
        return split
    return _AFFIXES.sub("", own.stem) or own.parent.name or own.stem


def _read_file(file: Path, images: Images, tally: Tally) -> Annotations:
    content = parse(read_bytes(file, annotation_file.WHAT), file, annotation_file.WHAT)
    if isinstance(content, dict):
        for entry in _entries(content, "images"):
            _fill_size(entry, file, images, tally)
        for entry in _entries(content, "annotations"):
            _fill(entry, f"{file.name}: annotation {shown(entry.get('id'))}", tally)
    given = annotation_file.read(file, names=True, raw=encode(content, str(file)))
    _refuse_other_boxes(given)
    return given


def _entries(content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = content.get(name)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _fill_size(entry: dict[str, Any], file: Path, images: Images, tally: Tally) -> None:
    name = entry.get("file_name")
    if (entry.get("width") and entry.get("height")) or not isinstance(name, str):
        return
    if (image := _find(images, name, file)) is not None:
        entry["width"], entry["height"] = images.measure(image, (0, 0))


def _find(images: Images, name: str, file: Path) -> Path | None:
    return images.find(name, file.parent, part=_AFFIXES.sub("", file.stem))


def _fill(entry: dict[str, Any], where: str, tally: Tally) -> None:
    """Fill in what an annotation lacks, so that only contradictions are left to be refused."""
    mask = entry.get("segmentation")
    if mask is None or mask == {}:
        mask = entry["segmentation"] = []
    if isinstance(mask, list) and mask and set(map(type, mask)) <= _NUMBERS:
        tally.add("flat list", where)
        entry["segmentation"] = [mask]
    elif isinstance(mask, list) and mask and masks.polygons_problem(mask) == "mask pairs":
        tally.add("pairs", where)
        entry["segmentation"] = [[v for p in q for v in (p if isinstance(p, list) else [p])] for q in mask]
    if mask and entry.get("bbox") in (None, []):
        entry["bbox"] = [0, 0, 0, 0]  # ``clean`` takes it from the mask, and counts it
    if entry.get("area") is None:
        entry["area"] = 0  # as well
    if entry.get("iscrowd") is None:
        tally.add("iscrowd", where)
        entry["iscrowd"] = 0


def _refuse_other_boxes(given: Annotations) -> None:
    """Refuse boxes that are no [x, y, width, height] in pixels, which clipping would hide."""
    problems = Problems()
    annotations = [a for a in given.content["annotations"] if min(a["bbox"][2:]) > 0]
    check.check_objects({**given.content, "annotations": annotations}, masks=False, problems=problems)
    for rule in [rule for rule in problems.counts if rule not in ("fractions", "corners")]:
        del problems.counts[rule]
    problems.refuse(given.file, len(given.content["images"]), len(annotations))


def _images(given: Annotations, split: str | None, images: Images) -> list[LabelledImage]:
    listed = {}
    for entry in coco.by_id(given.content["images"]):
        file = _find(images, entry["file_name"], given.file)
        if file is None:
            images.missing(entry["file_name"])
            continue
        width, height = images.measure(file, (entry["width"], entry["height"]))
        listed[entry["id"]] = LabelledImage(file, images.relative(file), width, height, split=split)
    names = {category["id"]: category["name"] for category in given.content["categories"]}
    annotations = [a for a in given.content["annotations"] if a["image_id"] in listed]
    short = _check_masks(annotations, given, images)
    for entry in annotations:
        image = listed[entry["image_id"]]
        image.objects.append(_drawn(entry, names[entry["category_id"]], given.file, entry["id"] in short))
    return list(listed.values())


def _check_masks(annotations: list[dict[str, Any]], given: Annotations, images: Images) -> set[Any]:
    """Refuse masks that are none; return the ids of objects whose polygons are all of fewer than three points."""
    drawn = [a for a in annotations if a.get("segmentation")]
    by_id = {image["id"]: (image["width"], image["height"]) for image in given.content["images"]}
    before = {a["id"]: a["segmentation"] for a in drawn}
    problems = Problems()
    masks.check(drawn, np.array([by_id[a["image_id"]] for a in drawn], np.float64).reshape(-1, 2), problems)
    for rule, count in problems.counts.items():
        if RULES[rule].level == REFUSED:
            images.problems.add(rule, problems.examples[rule], count)
    short = {a["id"] for a in drawn if not a["segmentation"]}
    for a in drawn:
        a["segmentation"] = before[a["id"]]  # ``clean`` leaves short parts out, and counts them
    return short


def _drawn(entry: dict[str, Any], category: str, file: Path, short: bool) -> DrawnObject:
    mask = entry.get("segmentation") or None
    x, y, width, height = entry["bbox"]
    code = None
    if isinstance(mask, dict) and isinstance(mask.get("counts"), str | list):
        code = _code(mask)
    return DrawnObject(
        category,
        f"{file.name}: {where_of(entry)}",
        box=(x, y, width, height),
        polygons=[p for p in mask if isinstance(p, list)] if isinstance(mask, list) else None,
        code=code,
        area=None if short else entry["area"],
        crowd=bool(entry["iscrowd"]),
    )


def _code(mask: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return shapes.compress({"size": mask["size"], "counts": mask["counts"]})
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # ``masks.check`` has counted it as refused


def _categories(files: list[Annotations], tally: Tally) -> list[str]:
    """Return the class names of all files, by id.

    A placeholder of one file is one of every file, also of a split without objects, which alone does not show it.
    """
    dropped = {identity: one.file.name for one in reversed(files) for identity in one.dropped}
    used = set()
    for one in files:
        ids = {a["category_id"] for a in one.content["annotations"]}
        used |= {c["name"] for c in one.content["categories"] if c["id"] in ids}
    names: dict[str, None] = {}
    for one in files:
        for category in coco.by_id(one.content["categories"]):
            if category["id"] not in dropped or category["name"] in used:
                names.setdefault(category["name"])
    for identity, file in dropped.items():
        tally.add("placeholder", f"{file}: category {shown(identity)}")
    return list(names)
