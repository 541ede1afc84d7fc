"""Files and folders that appear whole or not at all, however the program ends."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transfer.errors import InputError


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write ``content`` to ``path``, replacing what was there in one step; the folder is made when missing.

    Raises:
        InputError: a device or a pipe is there.
    """
    path = Path(path)
    check_regular(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def check_regular(path: Path) -> None:
    """Raise InputError when ``path`` is a device or a pipe, such as /dev/null, which a file would take the place of."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path}: expected a file's name, found a device or pipe; name another")


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` in UTF-8, as ``write_bytes`` does."""
    write_bytes(path, text.encode())


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder that becomes ``path`` when the block ends, and is removed when the block raises.

    Raises:
        InputError: ``path`` exists and is not an empty folder.
    """
    path = Path(path)
    check_new_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        os.replace(temporary, path)  # also replaces an empty folder, and nothing else
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_new_folder(path: Path) -> None:
    """Raise InputError when ``path`` is a file or a folder that holds something."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists() or path.is_symlink():
        obstacle = "a folder with files in it" if path.is_dir() else "a file"
        raise InputError(
            f"{path} is taken: expected a new or empty folder, found {obstacle}; name another or remove it"
        )


def _umask() -> int:
    """Return the process's file mode mask (the system only tells it in exchange for a new one)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(path: Path) -> str:
    """The file's SHA-256, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
