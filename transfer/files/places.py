"""The places that a command will write to, tried before its work starts: hours are not to end at a closed door."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from transfer.errors import InputError
from transfer.files import atomic


def check_file(path: str | Path, *, replace: bool = False, inputs: Iterable[Path | None] = ()) -> None:
    """Check that a file can be written at ``path``, whose folder need not exist yet.

    Args:
        path: the file that will be written.
        replace: it may exist already.
        inputs: files that are read; None for those that are not given.

    Raises:
        InputError: it exists and may not be replaced, it is an input, a folder, a device or a pipe, or its folder
            cannot be made or written to.
    """
    path = Path(path)
    for file in inputs:
        if file is not None and file.exists() and path.exists() and path.samefile(file):
            raise InputError(f"{path}: expected a file beside the inputs, found {file}, which is read; name another")
    atomic.check_regular(path)
    if path.is_dir():
        raise InputError(f"{path}: expected a file's name, found a folder; name a file in it")
    if not replace and (path.exists() or path.is_symlink()):
        raise InputError(f"{path} is taken: expected a new file, found one; name another or remove it")
    _try(path.parent, path)


def check_folder(path: str | Path) -> None:
    """Check that files can be written to the folder ``path``, which need not exist yet.

    Raises:
        InputError: it is a file, or cannot be made or written to.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: expected a folder, found a file; name another")
    _try(path, path)


def _try(folder: Path, place: Path) -> None:
    """Write a nameless file where ``folder`` is, or in the nearest folder above that exists."""
    nearest = next((above for above in (folder, *folder.parents) if above.exists()), Path())
    if not nearest.is_dir():
        raise InputError(f"{place} cannot be written: expected a folder at {nearest}, found a file; name another place")
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise InputError(
            f"{place} cannot be written: expected a folder that takes files, found {error.strerror or error} at "
            f"{nearest.absolute()}; name another place"
        ) from None
