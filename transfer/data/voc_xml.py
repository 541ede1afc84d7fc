"""PASCAL VOC's annotation files: one XML file an image, with its size and its objects' boxes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from transfer.errors import InputError


@dataclass(frozen=True)
class VocObject:
    """One object of an XML file: class, box in Pascal's own coordinates (both ends counted, from 1), and flags."""

    name: str
    box: tuple[float, float, float, float]
    difficult: bool


@dataclass(frozen=True)
class VocImage:
    """One XML file: the image's size in pixels, the file name it gives, and its objects."""

    width: int
    height: int
    file_name: str
    objects: tuple[VocObject, ...]


def read_xml(file: Path) -> VocImage:
    """Read one annotation file.

    Raises:
        InputError: missing, no XML, or without what a detector needs.
    """
    try:
        tree = ElementTree.parse(file)
        size = tree.find("size")
        if size is None:
            raise ValueError("no <size>")
        objects = tuple(_object(entry) for entry in tree.findall("object"))
        name = tree.findtext("filename") or ""
        return VocImage(int(_text(size, "width")), int(_text(size, "height")), name, objects)
    except FileNotFoundError:
        raise InputError(f"{file}: expected the image's annotations, found nothing") from None
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{file}: expected a VOC annotation file, found {error}") from None


def _object(entry: ElementTree.Element) -> VocObject:
    box = entry.find("bndbox")
    if box is None:
        raise ValueError("an object without <bndbox>")
    corners = [float(_text(box, tag)) for tag in ("xmin", "ymin", "xmax", "ymax")]  # VOC2011 has a few fractions
    return VocObject(_text(entry, "name"), tuple(corners), entry.findtext("difficult", "0").strip() == "1")  # type: ignore[arg-type]


def _text(entry: ElementTree.Element, tag: str) -> str:
    text = entry.findtext(tag)
    if text is None or not text.strip():
        raise ValueError(f"no <{tag}>")
    return text.strip()
