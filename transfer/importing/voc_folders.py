"""Pascal VOC's XML files, in its own folders or as other tools leave them: beside the images, or in a folder of theirs.

Boxes, and masks from ``SegmentationObject`` where there are some, by the readers of ``transfer.data``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from transfer.data import voc
from transfer.data.voc_xml import VocImage, read_xml
from transfer.errors import InputError
from transfer.files import image_files
from transfer.importing import shapes
from transfer.importing.images import Images, split_of
from transfer.importing.objects import Choices, DrawnObject, LabelledImage, LabelledSet
from transfer.importing.tally import Tally
from transfer.progress import over

_ROOT = re.compile(rb"<annotation[\s>]")  # CVAT's own XML begins with <annotations>
_HEAD = 4096
_SPLITS = ("train", "val", "test")
_MASKS = ("SegmentationObject", "SegmentationClass")


def is_voc(file: Path) -> bool:
    """Whether an XML file looks like one of Pascal VOC's."""
    try:
        with file.open("rb") as opened:
            return _ROOT.search(opened.read(_HEAD)) is not None
    except OSError:
        return False


@dataclass(frozen=True)
class _Lists:
    """The lists of a folder in VOC's own layout: stem -> split, empty without lists; and whether masks count."""

    splits: dict[str, str]
    masks: bool


def read(source: Path, choices: Choices, tally: Tally) -> LabelledSet:
    """Read all VOC files below a folder.

    Raises:
        InputError: an XML file, a list, a mask or an image cannot be used.
    """
    images = Images(source, tally, choices, without=_MASKS)
    lists: dict[Path, _Lists] = {}
    listed, labelled = [], set()
    for file in over(image_files.find(source, (".xml",)), "reading labels", "files"):
        own = file.relative_to(source)
        if not is_voc(file):
            tally.add("other file", own)
            continue
        root = _root(file)
        if root is not None and root not in lists:
            lists[root] = _read_lists(root, choices)
        image = _image(file, own, root, lists.get(root) if root else None, images, tally)
        if image is not None:
            listed.append(image)
            labelled.add(image.file)
    if not listed:
        images.refuse(0)
        raise InputError(f"{source}: expected images with VOC annotations, found none; give the folder of both")
    images.refuse(sum(len(image.objects) for image in listed))
    for unlabelled in sorted({*images.files} - labelled):
        if not (tally.counts["in no list"] or tally.counts["no mask file"]):
            tally.add("unlabelled", unlabelled.relative_to(source))
    return LabelledSet(listed, sorted({drawn.category for image in listed for drawn in image.objects}))


def _root(file: Path) -> Path | None:
    """Return the folder in VOC's own layout that an XML file belongs to."""
    root = file.parent.parent
    return root if file.parent.name == "Annotations" and (root / "JPEGImages").is_dir() else None


def _read_lists(root: Path, choices: Choices) -> _Lists:
    masks = choices.masks and any((root / "SegmentationObject").glob("*.png"))
    kind = "Segmentation" if masks else "Main"
    folder = root / "ImageSets" / kind
    names = [name for name in _SPLITS if (folder / f"{name}.txt").is_file()]
    if not {"train", "val"} <= set(names) and (folder / "trainval.txt").is_file():
        names = ["trainval", *(name for name in names if name == "test")]
    splits: dict[str, str] = {}
    for name in names:
        for stem in voc.read_list(folder / f"{name}.txt"):
            if splits.setdefault(stem, name) != name:
                raise InputError(f"{folder}: expected each image in one list, found {stem} in two; remove it from one")
    if set(names) == {"trainval"}:
        splits = dict.fromkeys(splits, "")
    return _Lists({stem: "train" if split == "trainval" else split for stem, split in splits.items()}, masks)


def _image(
    file: Path, own: Path, root: Path | None, lists: _Lists | None, images: Images, tally: Tally
) -> LabelledImage | None:
    if lists is not None and lists.splits and file.stem not in lists.splits:
        tally.add("in no list", own)
        return None
    numbers_file = None if root is None else root / "SegmentationObject" / f"{file.stem}.png"
    if lists is not None and lists.masks and numbers_file is not None and not numbers_file.is_file():
        tally.add("no mask file", own)
        return None
    xml = read_xml(file, sized=False)
    picture = _find(images, file, root, xml)
    if picture is None:
        images.missing(f"{xml.file_name or file.stem} of {own}")
        return None
    width, height = images.measure(picture, (xml.width, xml.height))
    split = split_of(own) if lists is None or not lists.splits else (lists.splits[file.stem] or None)
    image = LabelledImage(picture, images.relative(picture), width, height, split=split)
    numbers = None
    if lists is not None and lists.masks and numbers_file is not None:
        numbers = voc.instance_numbers(numbers_file, VocImage(width, height, xml.file_name, xml.objects))
    image.objects.extend(_drawn(file.name, i, xml, numbers) for i in range(len(xml.objects)))
    return image


def _find(images: Images, file: Path, root: Path | None, xml: VocImage) -> Path | None:
    """Return an XML file's image: called like it, or as its <filename> says, which tools write in their own ways."""
    near = file.parent if root is None else root / "JPEGImages"
    return images.find_stem(file.stem, near) or (images.find(xml.file_name, near) if xml.file_name else None)


def _drawn(name: str, i: int, xml: VocImage, numbers: NDArray[Any] | None) -> DrawnObject:
    entry = xml.objects[i]
    left, top, right, bottom = entry.box  # both ends are counted, from 1
    box = (left - 1, top - 1, right - left + 1, bottom - top + 1)
    code = None if numbers is None else shapes.encode(numbers == i + 1)
    return DrawnObject(entry.name, f"{name}: object {i + 1}", box=box, code=code, difficult=entry.difficult)
