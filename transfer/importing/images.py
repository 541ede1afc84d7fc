"""The images of a source: found by whatever name a label file gives them, and measured."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote

from transfer.data.check import header_sizes
from transfer.data.rules import Problems
from transfer.errors import InputError
from transfer.files import image_files, pixels
from transfer.importing.objects import Choices
from transfer.importing.tally import Tally

_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_SPLITS |= {"test": "test", "testing": "test"}
_WORDS = re.compile(r"[a-z]+")


def split_named(text: str) -> str | None:
    """Return the split that a folder's or list's name speaks of ("train2017", "obj_valid_data"); None for none."""
    words = [_SPLITS[word] for word in _WORDS.findall(text.lower()) if word in _SPLITS]
    return words[0] if len(set(words)) == 1 else None


def split_of(path: Path) -> str | None:
    """Return the split that the folders of a relative path speak of, the nearest to the file first."""
    return next((split for part in reversed(path.parts[:-1]) if (split := split_named(part))), None)


class Images:
    """All images below a folder, and what is wrong with those that were asked for."""

    def __init__(self, source: Path, tally: Tally, choices: Choices, without: tuple[str, ...] = ()) -> None:
        """Look for the images below ``source``, in no folder that is called as one of ``without``."""
        self.source = source
        self.files = [f for f in image_files.find(source) if not {*without} & {*f.relative_to(source).parts[:-1]}]
        self.problems = Problems()
        self._tally, self._choices = tally, choices
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for file in self.files:
            self._by_name[file.name.lower()].append(file)
            self._by_stem[file.stem.lower()].append(file)

    def find(self, name: str, near: Path, part: str = "") -> Path | None:
        """Return the image that a label file in the folder ``near`` calls ``name``; None where there is none.

        ``name`` may be relative, of another disk, with backslashes, or an address: then the file below the source
        counts whose path ends in most of it, and of several the one in a folder called ``part``, or the nearest to
        ``near``.

        Raises:
            InputError: several images fit equally well.
        """
        text = unquote(name.partition("?d=")[2]) if "?d=" in name else name
        parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if not parts:
            return None
        for own in (text.replace("\\", "/"), "/".join(parts)):
            try:
                if (direct := near / own).is_file() and not own.startswith("/"):
                    return Path(os.path.normpath(direct))
            except (OSError, ValueError):  # a name that no file system takes
                return None
        candidates = self._by_name.get(parts[-1].lower()) or self._by_name.get(unquote(parts[-1]).lower(), [])
        return self._nearest(candidates, parts, near, name, part.lower())

    def find_stem(self, stem: str, near: Path) -> Path | None:
        """Return the image called ``stem``, whatever its suffix, nearest to the folder ``near``.

        Raises:
            InputError: several images fit equally well.
        """
        return self._nearest(self._by_stem.get(stem.lower(), []), [], near, stem)

    def _nearest(self, candidates: list[Path], parts: list[str], near: Path, name: str, part: str = "") -> Path | None:
        def closeness(file: Path) -> tuple[int, bool, int]:
            tail = len(_equal([*reversed(file.parts)], [*reversed(parts)]))
            folders = {folder.lower() for folder in file.relative_to(self.source).parts[:-1]}
            return tail, part in folders, len(_equal(file.parts, near.parts))

        if not candidates:
            return None
        ordered = sorted(candidates, key=closeness, reverse=True)
        if len(ordered) > 1 and closeness(ordered[0]) == closeness(ordered[1]):
            raise InputError(
                f"{near}: expected one image called {name}, found {ordered[0]} and {ordered[1]}; rename or remove one"
            )
        return ordered[0]

    def missing(self, name: str) -> None:
        """Count a labelled image that is not there: left out where that was chosen, refused otherwise."""
        if self._choices.skip_missing:
            self._tally.add("missing", name)
        else:
            self.problems.add("missing file", name)

    def measure(self, file: Path, stated: tuple[float, float] | None, encoded: bytes | None = None) -> tuple[int, int]:
        """Return an image's upright width and height; (0, 0) for one that cannot be read, which is counted.

        Args:
            file: the image.
            stated: width and height of which the labels speak, 0 where they leave them out; None where the format has
                none.
            encoded: its bytes, where ``file`` only holds them.
        """
        name = file.name
        try:
            upright, stored = header_sizes(file) if encoded is None else pixels.sizes(encoded)
        except (OSError, ValueError) as error:
            self.problems.add("unreadable", f"{name}, {error}")
            return 0, 0
        if stated is None:
            return upright
        if not all(stated):
            self._tally.add("size", name)
        elif tuple(stated) != upright:
            words = f"{name}, {upright[0]}x{upright[1]} for {stated[0]:g}x{stated[1]:g}"
            self.problems.add("stored size" if tuple(stated) == stored else "other size", words)
        return upright

    def relative(self, file: Path) -> Path:
        """Return an image's path below the source; its name alone when it lies elsewhere."""
        return file.relative_to(self.source) if file.is_relative_to(self.source) else Path(file.name)

    def refuse(self, n_objects: int) -> None:
        """Raise InputError, one line with all counts, for images that are missing, unreadable or of another size."""
        self.problems.refuse(self.source, len(self.files), n_objects)


def _equal(one: tuple[str, ...] | list[str], other: tuple[str, ...] | list[str]) -> list[str]:
    """Return what two lists begin with in common, whatever the case of letters."""
    common = []
    for a, b in zip(one, other, strict=False):
        if a.lower() != b.lower():
            break
        common.append(a)
    return common
