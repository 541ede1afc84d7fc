"""Open a checkpoint file without trusting it: its tree of containers and tensors, and nothing executed."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import safetensors
import torch

from transfer.checkpoints.unpickle import inert_globals, load
from transfer.errors import CheckpointError, InputError

_BLOCKED = re.compile(r"(?:GLOBAL |the global )([\w.]+)")


def open_tree(path: Path) -> tuple[Any, dict[str, str]]:
    """Read a checkpoint file safely.

    Args:
        path: a ``.safetensors``, ``.pth``, ``.pt``, ``.pth.tar``, ``.ckpt`` or ``.pkl`` file.

    Returns:
        (the nested containers and CPU tensors in it, the header metadata of a safetensors file or {}).

    Raises:
        InputError: no such file.
        CheckpointError: truncated, not a checkpoint, or asking for code to be run.
    """
    if not path.is_file():
        raise InputError(f"no such checkpoint: expected a file, found nothing at {path}; check the path")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty: expected a checkpoint, found 0 bytes; copy or download it again")
    try:
        if path.suffix == ".safetensors":
            return _open_safetensors(path)
        if zipfile.is_zipfile(path):
            _check_zip(path)
        elif path.suffix == ".pkl" or _is_plain_pickle(path):
            with path.open("rb") as file:
                return load(file), {}
        with torch.serialization.safe_globals(inert_globals()):
            return torch.load(path, map_location="cpu", weights_only=True), {}
    except CheckpointError:
        raise
    # Damaged bytes make the parsers fail in any way they like; what to tell the user is the same for all.
    except Exception as error:
        raise _explained(path, error) from error


def _open_safetensors(path: Path) -> tuple[Any, dict[str, str]]:
    with safetensors.safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118


def _check_zip(path: Path) -> None:
    """Refuse archives that would grow when read (torch stores its entries uncompressed), and damaged ones."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_sizes(path, entries)
        # torch writes checksums and does not read them: without this, a flipped bit is a slightly other network.
        # Zero means none was written (torch.serialization.set_crc32_options).
        for entry in (entry for entry in entries if entry.CRC):
            with archive.open(entry) as content:
                while content.read(1 << 20):
                    pass


def _check_sizes(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if packed := [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]:
        raise CheckpointError(
            f"{path} is a compressed archive: expected the stored entries torch.save writes, found {packed[0]} "
            "compressed; unpack it and give the checkpoint inside"
        )
    claimed = sum(entry.file_size for entry in entries)
    if claimed > path.stat().st_size:
        raise CheckpointError(
            f"{path} claims more than it holds: expected at most {path.stat().st_size} bytes, found entries of "
            f"{claimed}; it is damaged or made to exhaust memory, get it from its source again"
        )


def _is_plain_pickle(path: Path) -> bool:
    # torch's pre-2020 format is several pickles in a row, the first of which is a number; Detectron's is one
    # that starts with a container.
    with path.open("rb") as file:
        start = file.read(3)
    return start[:1] == b"\x80" and start[2:3] in (b"}", b"]", b"c")


def _explained(path: Path, error: Exception) -> CheckpointError:
    text = str(error)
    if (blocked := _BLOCKED.search(text)) and isinstance(error, pickle.UnpicklingError):
        return CheckpointError(
            f"{path} is not safe to load: expected tensors and plain containers, found the global {blocked[1]}; "
            "re-save its state_dict alone where it was made"
        )
    # torch's own text advises to load the file unsafely: not repeated here.
    first = "no checkpoint's pickle" if "weights_only" in text else (text.splitlines() or [""])[0][:120]
    return CheckpointError(
        f"{path} cannot be read: expected a whole checkpoint, found {type(error).__name__} ({first}); "
        "it may be truncated or no checkpoint at all: compare its size with the source and copy it again"
    )
