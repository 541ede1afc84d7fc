"""The checkpoint files of a run: their names, and which of them can be trusted."""

from __future__ import annotations

import logging
import struct
import zipfile
import zlib
from pathlib import Path

from pretrain.errors import InputError

BEST = "best.pth"

log = logging.getLogger("pretrain")


def checkpoint_name(iteration: int) -> str:
    """File name of the checkpoint after an iteration."""
    return f"iteration_{iteration:08d}.pth"


def find_checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(folder.glob("iteration_*.pth"))


def last_good(folder: Path) -> str:
    """What to tell someone whose training stopped: which checkpoint there is to go on from."""
    saved = find_checkpoints(folder)
    return f"the last good checkpoint is {saved[-1]}" if saved else "there is no checkpoint yet"


def newest_sound(folder: Path) -> Path | None:
    """The newest checkpoint that is not damaged; newer ones are renamed to ``*.damaged`` and named in a warning.

    Returns:
        None where there is no checkpoint at all.

    Raises:
        InputError: all of them are damaged.
    """
    saved = find_checkpoints(folder)
    for path in reversed(saved):
        fault = damage(path)
        if fault is None:
            return path
        log.warning("%s is damaged (%s); going back to the checkpoint before it", path, fault)
        path.rename(path.with_name(f"{path.name}.damaged"))
    if saved:
        raise InputError(
            f"--resume: expected a sound checkpoint in {folder}, found all {len(saved)} damaged; start again in "
            "another --work-dir"
        )
    return None


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, by the checksum of every tensor in it; None where nothing is."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    return None if member is None else f"{member} does not fit its checksum"
