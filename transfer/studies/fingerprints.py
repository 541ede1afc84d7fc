"""What determines a step, as short text: hashes of values, files and folders."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transfer.errors import InputError
from transfer.files.atomic import sha256


def key_of(*values: Any) -> str:
    """12 hexadecimal digits: the same for the same plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def fingerprint(path: Path) -> str:
    """Of a file its content; of a folder the names and sizes of all files below it.

    Raises:
        InputError: there is nothing at ``path``.
    """
    if path.is_dir():
        return key_of(sorted(_listing(path, "")))
    try:
        return sha256(path)[:12]
    except OSError as error:
        raise InputError(
            f"{path}: expected a file or folder, found {error.strerror or error}; correct the path"
        ) from None


def _listing(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _listing(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.stat().st_size
