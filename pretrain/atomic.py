"""Files that appear whole or not at all, however the program ends, and places that can hold them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pretrain.errors import InputError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path to write to; when the block ends well, the file there takes ``path``'s place in one step.

    Both the file and its name are on the disk when this returns. When the block raises, ``path`` stays as it was.

    Raises:
        InputError: a device or a pipe is there.
        OSError: it cannot be written; names ``path``, not the file that was to take its place.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # such as /dev/null, whose place it would take
        raise InputError(f"{path}: expected a file's name, found a device or pipe; name another")
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
        _to_disk(path.parent)
    except OSError as error:
        if error.filename == str(partial) or error.filename is None:
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content``, whole or not at all, readable by whom the umask says."""
    with whole(path) as partial:
        partial.write_bytes(content)


def check_writable(folder: Path, what: str) -> None:
    """See that a folder can be made and a file written into it. Nothing stays behind, not even the folder.

    Args:
        folder: it may exist or not.
        what: the setting that names it, for the message.

    Raises:
        InputError: no permission, no room, read-only, or a file where a folder belongs.
    """
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(
            f"{what}: expected a folder that can be written to, found {folder} ({error.strerror}); name another or "
            "mend it"
        ) from None
    finally:
        for path in missing:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
