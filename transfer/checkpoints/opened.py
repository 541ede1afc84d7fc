"""Open a checkpoint file without trusting it: its tree of containers and tensors, and nothing executed."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, BinaryIO

import safetensors

from transfer.checkpoints import archives, contents
from transfer.checkpoints.printable import printable
from transfer.checkpoints.unpickle import Budget
from transfer.errors import CheckpointError, InputError

_BLOCKED = re.compile(r"the global (.+) is not allowed", re.DOTALL)
_SHOWN_FILES = 3


def open_tree(path: Path) -> tuple[Any, dict[str, str]]:
    """Read a checkpoint file safely, by what it contains and not by its name.

    Time and memory are bounded by the file's size: about its bytes for zip archives and safetensors, three times that
    for bare pickles, and a few seconds at most for what is no tensor.

    Args:
        path: a safetensors file, what ``torch.save`` writes or wrote, or a pickle.

    Returns:
        (the nested containers, CPU tensors and NumPy arrays in it, the header metadata of a safetensors file or {}).

    Raises:
        InputError: no such file.
        CheckpointError: truncated, not a checkpoint, or asking for code to be run.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected a checkpoint file, found {_inside(path)}; give the file")
    if not path.is_file():
        what = "a link to nothing" if path.is_symlink() else "a device or pipe" if path.exists() else "nothing"
        raise InputError(f"no such checkpoint: expected a file, found {what} at {path}; check the path")
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"{path} is empty: expected a checkpoint, found 0 bytes; copy or download it again")
    start = b""
    try:
        with path.open("rb") as file:
            start = file.read(1024)
            file.seek(0)
            return _open(path, file, start, size)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: expected a readable file, found {error.strerror or type(error).__name__}; "
            "check the file and its permissions"
        ) from error
    # Damaged bytes make the parsers fail in any way they like; what to tell the user is the same for all.
    except Exception as error:
        raise _explained(path, start, error) from error


def _open(path: Path, file: BinaryIO, start: bytes, size: int) -> tuple[Any, dict[str, str]]:
    if contents.is_safetensors(start, size):
        if int.from_bytes(start[:8], "little") > contents.MOST_SAFETENSORS_HEADER:
            raise CheckpointError("expected a header of some kilobytes, found one of megabytes")
        with safetensors.safe_open(path, framework="pt") as tensors:
            tree = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
            return tree, dict(tensors.metadata() or {})
    return archives.load(file, size, Budget(size)), {}


def _inside(folder: Path) -> str:
    """The checkpoints in a folder, so that the next command can name one."""
    suffixes = (".safetensors", ".pth", ".pt", ".ckpt", ".pkl", ".tar")
    names = sorted(entry.name for entry in folder.iterdir() if entry.suffix in suffixes and entry.is_file())
    more = f" and {len(names) - _SHOWN_FILES} more" if len(names) > _SHOWN_FILES else ""
    return (", ".join(map(printable, names[:_SHOWN_FILES])) + more) if names else "a folder without any"


def _explained(path: Path, start: bytes, error: Exception) -> CheckpointError:
    text = str(error)
    if isinstance(error, CheckpointError):
        advice = "" if ";" in text else "; get it from its source again"
        return CheckpointError(f"{path} is not accepted: {text}{advice}")
    if (blocked := _BLOCKED.fullmatch(text)) and isinstance(error, pickle.UnpicklingError):
        return CheckpointError(
            f"{path} is not safe to load: expected tensors and plain containers, found the global "
            f"{printable(blocked[1])}; re-save its state_dict alone where it was made"
        )
    if not start.startswith(archives.ZIP) and (kind := contents.described(start)):
        return CheckpointError(f"{path} cannot be read: expected a checkpoint, found {kind[0]}; {kind[1]}")
    return CheckpointError(
        f"{path} cannot be read: expected a whole checkpoint, found {type(error).__name__} "
        f"({printable(text) or 'no details'}); it may be truncated or no checkpoint at all: compare its size with the "
        "source and copy it again"
    )
