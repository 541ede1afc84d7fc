"""PASCAL VOC's annotation files: one XML file an image, with its size and its objects' boxes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from transfer.data.ids import is_one_line
from transfer.errors import InputError
from transfer.files.decode import shown

_LARGEST = 1e9  # pixels


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


def read_xml(file: Path, *, sized: bool = True) -> VocImage:
    """Read one annotation file.

    Args:
        file: XML in Pascal VOC's form.
        sized: whether a size is needed; without it, one that is missing or 0, as some tools write it, is 0.

    Raises:
        InputError: missing, no XML, or without what a detector needs.
    """
    try:
        tree = ElementTree.parse(file)
        size = tree.find("size")
        if size is None and sized:
            raise ValueError("no <size>")
        objects = tuple(_object(entry) for entry in tree.findall("object"))
        name = tree.findtext("filename") or ""
        width, height = (_whole(size, tag, 1) if sized else _size(size, tag) for tag in ("width", "height"))
        return VocImage(width, height, name.strip(), objects)
    except FileNotFoundError:
        raise InputError(f"{file}: expected the image's annotations, found nothing") from None
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file}: expected a VOC annotation file, found {reason}; correct it") from None


def _object(entry: ElementTree.Element) -> VocObject:
    box = entry.find("bndbox")
    if box is None:
        raise ValueError("an object without <bndbox>")
    corners = [_number(box, tag) for tag in ("xmin", "ymin", "xmax", "ymax")]  # VOC2011 has a few fractions
    difficult = entry.findtext("difficult", "0").strip() or "0"
    if difficult not in ("0", "1"):
        raise ValueError(f"<difficult> {shown(difficult)}, which is neither 0 nor 1")
    name = _text(entry, "name")
    if not is_one_line(name):
        raise ValueError(f"<name> {shown(name)}, which is not one line")
    return VocObject(name, tuple(corners), difficult == "1")  # type: ignore[arg-type]


def _number(entry: ElementTree.Element, tag: str) -> float:
    text = _text(entry, tag)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"<{tag}> {shown(text)}, which is no number") from None
    if not abs(value) < _LARGEST:  # also NaN
        raise ValueError(f"<{tag}> {shown(text)}, which is no place in an image")
    return value


def _size(size: ElementTree.Element | None, tag: str) -> int:
    return 0 if size is None or not (size.findtext(tag) or "").strip() else _whole(size, tag, 0)


def _whole(entry: ElementTree.Element | None, tag: str, least: int) -> int:
    """Return a whole number from ``least`` on, also one written as 64.0."""
    assert entry is not None
    value = _number(entry, tag)
    if not value.is_integer() or value < least:
        raise ValueError(f"<{tag}> {shown(_text(entry, tag))}, which is no whole number from {least} on")
    return int(value)


def _text(entry: ElementTree.Element, tag: str) -> str:
    text = entry.findtext(tag)
    if text is None or not text.strip():
        raise ValueError(f"no <{tag}>")
    return text.strip()
