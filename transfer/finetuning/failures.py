"""What can end a training run from outside or inside, as one line that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from detectron2.config import CfgNode

from transfer.doctor.training_rules import LR_PER_IMAGE
from transfer.errors import InputError
from transfer.finetuning import checkpointer

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SHOWN = 4


@contextmanager
def explained(cfg: CfgNode, files: Callable[[], list[str]]) -> Iterator[None]:
    """Turn what stops the block into an InputError of one line.

    Args:
        cfg: the run's config.
        files: gives the images of the current batch.

    Raises:
        InputError: the loss is not finite any more, or the disk is full.
    """
    try:
        yield
    except FloatingPointError as error:
        raise InputError(diverged(cfg, str(error), files())) from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise InputError(disk_full(Path(cfg.OUTPUT_DIR), error)) from error


def diverged(cfg: CfgNode, what: str, files: list[str]) -> str:
    """Return the line for a loss that is not finite."""
    what = " ".join(what.split())[:160]
    names = ", ".join(files[:SHOWN]) + (f" and {len(files) - SHOWN} more" if len(files) > SHOWN else "")
    usual = LR_PER_IMAGE * cfg.SOLVER.IMS_PER_BATCH
    return (
        f"training diverged: expected finite losses, found: {what}; the batch: {names or 'unknown'}; if its boxes are "
        f"right, the learning rate is too high ({cfg.SOLVER.BASE_LR:g}; usual for {cfg.SOLVER.IMS_PER_BATCH} images is "
        f"{usual:g}): try --lr auto, or lower SOLVER.BASE_LR"
    )


def disk_full(folder: Path, error: OSError) -> str:
    """Return the line for a disk without room."""
    last = checkpointer.last(folder)
    rest = f"{last} is intact: make room, then continue with --resume" if last else "make room, then start again"
    return f"{folder} cannot be written: expected room for the run's files, found {error.strerror}; {rest}"
