"""Batches from PyTorch's loader: what cannot be read ends them in one line, and no draw of the model is shifted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from transfer.errors import InputError
from transfer.finetuning.interrupt import signals_held


@dataclass(frozen=True)
class Unreadable:
    """What a worker hands on in place of an image that it could not read: the exception would lose its one line."""

    file: str
    reason: str


class Loader:
    """Batches without unreadable images in them, and the names of the last one's images.

    Attributes:
        files: of the batch given last.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        """Wrap a loader whose batches are lists."""
        self._loader = loader
        self._batches: Iterator[Any] | None = None  # no local variable, which an error's traceback would keep alive
        self.dataset = loader.dataset  # Detectron2's evaluation asks for it
        self.files: list[str] = []

    def __len__(self) -> int:
        """Number of batches; for evaluation only, training never ends."""
        return len(self._loader)

    def close(self) -> None:
        """End the loading processes, which no signal ends (``interrupt.ignore_signals``)."""
        self._batches = None

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        """Give the batches.

        Raises:
            InputError: an image cannot be read, or a loading process failed or was ended from outside.
        """
        # Neither starting the workers nor augmentation in this process (no workers) may shift what the model draws.
        before = _state()
        with signals_held():  # in the loading processes until they ignore them
            self._batches = iter(self._loader)
        _restore(before)
        while self._batches is not None:
            before = _state()
            try:
                batch = next(self._batches, None)
            except RuntimeError as error:
                raise _dead_worker(error) from error
            finally:
                _restore(before)
            if batch is None:
                return
            for entry in batch:
                if isinstance(entry, Unreadable):
                    raise InputError(
                        f"{entry.file}: expected an image that can be read, found {entry.reason}; "
                        "restore the file, then continue with --resume"
                    )
            self.files = [entry["file_name"] for entry in batch]
            yield batch


def _state() -> tuple[Any, Any, Any]:
    return np.random.get_state(), random.getstate(), torch.get_rng_state()


def _restore(state: tuple[Any, Any, Any]) -> None:
    np.random.set_state(state[0])
    random.setstate(state[1])
    torch.set_rng_state(state[2])


def _dead_worker(error: RuntimeError) -> Exception:
    text = " ".join(str(error).split())
    if "DataLoader worker" not in text or ("exited unexpectedly" not in text and "is killed by signal" not in text):
        return error
    return InputError(
        f"a process that loads images was ended ({text[:80]}): expected it to live, the usual reason is too little "
        "memory; continue with --resume and fewer DATALOADER.NUM_WORKERS"
    )
