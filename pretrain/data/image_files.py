"""Which files of a folder are images: by their suffix, and never what a system or a tool hides there.

``transfer.files.image_files`` has the same rule; ``tests/test_one_decoder.py`` holds the two equal.
"""

from __future__ import annotations

import os
from pathlib import Path

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# What macOS, Windows and Synology's systems leave in folders, beside names that begin with a dot.
_LEFT_BY_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"}


def is_hidden(name: str) -> bool:
    """Whether a name of a file or folder is not looked at: one with a leading dot, or a system's own."""
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def is_among(path: Path, folder: Path) -> bool:
    """Whether an image at ``path``, or in a folder there, would be found below ``folder``; links are followed."""
    here, above = path.resolve(), folder.resolve()
    return here.is_relative_to(above) and not any(map(is_hidden, here.relative_to(above).parts))


def find(folder: Path, suffixes: tuple[str, ...] = SUFFIXES, *, deep: bool = True) -> list[Path]:
    """Return the files below ``folder`` with one of ``suffixes`` (lower case), hidden ones left out, by their path.

    Args:
        folder: may itself be hidden.
        suffixes: in lower case.
        deep: look into folders too.
    """
    paths = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if deep and not is_hidden(name))
        paths += [Path(root, name) for name in files if not is_hidden(name) and _suffix(name) in suffixes]
    return sorted(path for path in paths if path.is_file())


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
