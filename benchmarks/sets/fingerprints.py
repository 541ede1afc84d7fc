"""Folders as one number: equal where every file has the same name and the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(root: Path, parts: Iterable[str] = ("",)) -> str:
    """SHA-256 over the files below ``parts`` of ``root``, sorted by name: of each the name, NUL, size, NUL, content.

    Args:
        root: names are relative to this, with ``/``; empty folders do not count.
        parts: folders in ``root``; those that do not exist count as empty.
    """
    digest = hashlib.sha256()
    paths = (path for part in parts for path in (root / part).rglob("*") if path.is_file())
    for name in sorted(path.relative_to(root).as_posix() for path in paths):
        content = (root / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
