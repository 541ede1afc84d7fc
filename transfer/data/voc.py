"""PASCAL VOC folders read as COCO-format content: boxes from the XML files, masks from SegmentationObject.

Nothing here needs Detectron2. What is read takes the same way as any COCO file from here on: the same data check, the
same loader, the same fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from transfer.data.coco import CocoSet
from transfer.data.voc_xml import VocImage, read_xml
from transfer.errors import InputError
from transfer.files import image_files

# The order of Pascal's classes, which is that of the alphabet, and of the numbers in SBD's files (from 1).
PASCAL = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclass(frozen=True)
class VocSplit:
    """One list of images of a VOC folder.

    Attributes:
        root: the folder that holds Annotations, ImageSets and JPEGImages.
        name: of the list, e.g. "trainval".
        sbd: the folder of the Semantic Boundaries Dataset, whose masks come in addition; None without.
        edition: whose AP definition belongs to it; None goes by the folder's name.
    """

    root: Path
    name: str
    sbd: Path | None = None
    edition: int | None = None

    @property
    def year(self) -> int:
        """The edition: 2007 when the folder is called so, 2012 otherwise."""
        return self.edition or (2007 if "2007" in self.root.name else 2012)

    def __str__(self) -> str:
        """``ROOT:NAME``, and what is added to it."""
        return f"{self.root}:{self.name}" + (f" + {self.sbd}" if self.sbd else "")


def parse(text: str) -> VocSplit:
    """Return what ``ROOT:SPLIT`` names.

    Raises:
        InputError: no colon, or no VOC folder there.
    """
    root, colon, name = text.rpartition(":")
    if not colon or not root or not name or "/" in name:
        raise InputError(f"{text}: expected ROOT:SPLIT, such as VOC2007:trainval, found no split; add it")
    if not (Path(root) / "Annotations").is_dir():
        raise InputError(f"{root}: expected a VOC folder with Annotations, ImageSets and JPEGImages, found none there")
    return VocSplit(Path(root), name)


def stems(split: VocSplit, *, masks: bool) -> list[str]:
    """Return the names of the split's images, in the order of its list (of ImageSets/Segmentation for masks).

    Raises:
        InputError: no such list, or an empty one.
    """
    file = split.root / "ImageSets" / ("Segmentation" if masks else "Main") / f"{split.name}.txt"
    return read_list(file)


def read_list(file: Path) -> list[str]:
    """Return the image names of a list: a line each, without the 1, 0 or -1 behind them in a class's list.

    A name may hold spaces; where ``NAME 1`` is an image of its own, it is no flag.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        there = (
            ", ".join(sorted(f.stem for f in file.parent.glob("*.txt") if "_" not in f.stem)) or type(error).__name__
        )
        raise InputError(f"{file}: expected a list of images, found none; lists there: {there}") from None
    if not lines:
        raise InputError(f"{file}: expected a list of images, found an empty file")
    annotations = file.parent.parent.parent / "Annotations"
    return [name if (annotations / f"{name}.xml").is_file() else _FLAG.sub("", name) for name in lines]


_FLAG = re.compile(r"\s+(-1|0|1)$")


def classes_of(splits: list[VocSplit]) -> tuple[str, ...]:
    """Return the class names in all annotation files of the folders, in alphabetical order (which is Pascal's own)."""
    names: set[str] = set()
    for root in dict.fromkeys(split.root for split in splits):
        for file in image_files.find(root / "Annotations", (".xml",), deep=False):
            names.update(entry.name for entry in read_xml(file).objects)
    if not names:
        raise InputError(f"{splits[0].root}: expected annotated objects, found none in Annotations")
    return tuple(sorted(names))


def read_voc(splits: list[VocSplit], classes: tuple[str, ...], *, masks: bool) -> CocoSet:
    """Read VOC splits as one COCO-format set; its file names are relative to the folder that all of them lie in.

    Args:
        splits: at least one.
        classes: all class names, in the order of the detector's outputs.
        masks: read the images of ImageSets/Segmentation, with their masks.

    Raises:
        InputError: a list, an XML file or a mask is missing or damaged, or an object is of none of the classes.
    """
    base = _common(splits)
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
    for split in splits:
        prefix = split.root.absolute().relative_to(base.absolute())
        for stem in stems(split, masks=masks):
            _add_image(content, split.root, prefix, stem, classes, masks)
        if split.sbd is not None:
            for stem in sbd_stems(split):
                _add_sbd(content, split, prefix, stem)
    text = to_json(content)
    where = " + ".join(map(str, splits))
    return CocoSet(base, Path(where), hashlib.sha256(text.encode()).hexdigest(), content, classes)


def to_json(content: dict[str, Any]) -> str:
    """Return the text of the COCO file that holds ``content``: the same for the same content."""
    return json.dumps(content, separators=(",", ":")) + "\n"


def _common(splits: list[VocSplit]) -> Path:
    """Return the folder that all splits' folders lie in: the folder itself when there is one."""
    roots = list(dict.fromkeys(split.root for split in splits))
    return roots[0] if len(roots) == 1 else Path(os.path.commonpath([root.absolute() for root in roots]))


def _add_image(
    content: dict[str, Any], root: Path, prefix: Path, stem: str, classes: tuple[str, ...], masks: bool
) -> None:
    xml = read_xml(root / "Annotations" / f"{stem}.xml")
    image = _image(content, prefix / "JPEGImages" / _file_name(root, stem, xml), xml.width, xml.height)
    numbers = instance_numbers(root / "SegmentationObject" / f"{stem}.png", xml) if masks else None
    for i, entry in enumerate(xml.objects):
        if entry.name not in classes:
            raise InputError(
                f"{root / 'Annotations' / stem}.xml: expected the classes of the training data, found {entry.name}; "
                "train and val have to have the same"
            )
        left, top, right, bottom = entry.box
        box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
        mask = None if numbers is None else numbers == i + 1
        if mask is None or mask.any():  # an object that others cover whole has no pixel, and cannot be found
            _annotation(content, image, classes.index(entry.name) + 1, box, mask, difficult=int(entry.difficult))


def _file_name(root: Path, stem: str, image: VocImage) -> str:
    """Return the image's file: named like the XML file, in any format; what ``<filename>`` says comes last.

    Tools write that tag in their own ways: with a folder, without a suffix, or as it was on another disk.
    """
    folder = root / "JPEGImages"
    suffixes = (".jpg", *(s for s in image_files.SUFFIXES if s != ".jpg"))
    named = [f"{stem}{case}" for suffix in suffixes for case in (suffix, suffix.upper())]
    tag = image.file_name.replace("\\", "/").rpartition("/")[2]
    return next((name for name in [*named, *([tag] if tag else [])] if (folder / name).is_file()), named[0])


def instance_numbers(file: Path, image: VocImage) -> NDArray[np.uint8]:
    """Return the numbers of a file in SegmentationObject: object i of the XML file has i (from 1), a border 255.

    Raises:
        InputError: it is missing, damaged, or of another size than ``image`` says.
    """
    try:
        with Image.open(file) as opened:
            numbers = np.asarray(opened)
    except FileNotFoundError:
        raise InputError(
            f"{file}: expected the image's masks, found nothing; train without masks: MODEL.MASK_ON False"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{file}: expected the image's masks, found {type(error).__name__} {error}") from None
    if numbers.shape != (image.height, image.width) or numbers.dtype != np.uint8:
        raise InputError(
            f"{file}: expected numbers of objects, {image.width}x{image.height}, found {numbers.dtype} {numbers.shape}"
        )
    return numbers


def _image(content: dict[str, Any], file: Path, width: int, height: int) -> int:
    number = len(content["images"]) + 1
    content["images"].append({"id": number, "file_name": str(file), "width": width, "height": height})
    return number


def _annotation(
    content: dict[str, Any], image: int, category: int, box: list[float], mask: NDArray[Any] | None, difficult: int = 0
) -> None:
    entry: dict[str, Any] = {"id": len(content["annotations"]) + 1, "image_id": image, "category_id": category}
    entry |= {"bbox": box, "area": box[2] * box[3], "iscrowd": 0, "difficult": difficult}
    if mask is not None:
        code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
        code["counts"] = code["counts"].decode()
        entry |= {"segmentation": code, "area": int(mask.sum())}
    content["annotations"].append(entry)


def sbd_stems(split: VocSplit) -> list[str]:
    """Return SBD's images that are in neither of VOC's own lists for masks: those in val must not be trained on."""
    assert split.sbd is not None
    own = {*read_list(split.root / "ImageSets/Segmentation/train.txt")}
    own |= {*read_list(split.root / "ImageSets/Segmentation/val.txt")}
    return [s for name in ("train", "val") for s in read_list(split.sbd / f"{name}.txt") if s not in own]


def _add_sbd(content: dict[str, Any], split: VocSplit, prefix: Path, stem: str) -> None:
    assert split.sbd is not None
    numbers, categories = _read_mat(split.sbd / "inst" / f"{stem}.mat")
    height, width = numbers.shape
    image = _image(content, prefix / "JPEGImages" / f"{stem}.jpg", width, height)
    for i, category in enumerate(categories, 1):
        mask = numbers == i
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            left, top = int(columns[0]), int(rows[0])
            box: list[float] = [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
            _annotation(content, image, int(category), box, mask)


def _read_mat(file: Path) -> tuple[NDArray[Any], list[int]]:
    """Return SBD's numbers of objects (H, W) and the class number of each, from 1."""
    from scipy.io import loadmat  # slow to import, and SBD's alone

    try:
        truth = loadmat(file)["GTinst"][0, 0]
        return np.asarray(truth["Segmentation"]), [int(c) for c in np.ravel(truth["Categories"])]
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"{file}: expected SBD's instances, found {type(error).__name__} {error}") from None
