"""Which tool left a folder: told by what lies in it, never by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from transfer.errors import InputError
from transfer.files import image_files
from transfer.importing import coco_export, labelme, mask_folders, voc_folders, yolo
from transfer.importing.objects import Choices, LabelledSet
from transfer.importing.tally import Tally

Reader = Callable[[Path, Choices, Tally], LabelledSet]
READERS: dict[str, Reader] = {
    "coco": coco_export.read,
    "labelme": labelme.read,
    "voc": voc_folders.read,
    "yolo": yolo.read,
    "masks": mask_folders.read,
}
_CVAT = re.compile(rb"<annotations[\s>]")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


def recognise(source: Path) -> str:
    """Return the format of a folder, a key of ``READERS``.

    Raises:
        InputError: no folder, no known format, or several.
    """
    if not source.is_dir():
        kind = "nothing" if not source.exists() else "an archive" if source.suffix in _ARCHIVES else "a file"
        action = "unpack it and give its folder" if kind == "an archive" else "give the folder that holds it"
        raise InputError(
            f"{source}: expected a folder, found {kind}; {action if kind != 'nothing' else 'check its name'}"
        )
    formats = _formats(source)
    if len(formats) == 1:
        return formats[0]
    if formats:
        raise InputError(
            f"{source}: expected labels of one tool, found {' and '.join(formats)}; say which to read, such as "
            f"--format {formats[0]}"
        )
    raise InputError(f"{source}: expected labels of {', '.join(READERS)}, found {_instead(source)}")


def _formats(source: Path) -> list[str]:
    formats = []
    left = {"coco": coco_export.is_coco, "labelme": labelme.is_labelme}
    for file in image_files.find(source, (".json",)):
        raw = _bytes(file)
        for name in [name for name, test in left.items() if test(raw)]:
            formats.append(name)
            del left[name]
        if len(left) < 2:  # the files of one tool look alike
            break
    if any(voc_folders.is_voc(file) for file in image_files.find(source, (".xml",))):
        formats.append("voc")
    if yolo.description(source) is not None:
        formats.append("yolo")
    if not formats and mask_folders.has_masks(image_files.find(source), source):
        formats.append("masks")
    return formats


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _instead(source: Path) -> str:
    """Return what lies in a folder that no reader knows, and what to do."""
    if any(_CVAT.search(_bytes(file)[:4096]) for file in image_files.find(source, (".xml",))):
        return "CVAT's own XML; export the task as COCO 1.0"
    texts, images = len(image_files.find(source, (".txt",))), len(image_files.find(source))
    if texts and images:
        return (
            f"{texts} text files and {images} images; YOLO needs the class names in data.yaml or classes.txt: add one"
        )
    if images:
        return f"{images} images without labels; for a folder of masks call them masks/NAME.png or NAME_masks.png"
    return "neither labels nor images; give the folder that holds both"
