"""Checkpoints that appear whole or not at all, and a log of metrics that goes on where the last of them was made."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer

from transfer.files import atomic

LAST = "last_checkpoint"


class AtomicCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, whose files a full disk or a killed process leaves as they were."""

    def save(self, name: str, **kwargs: Any) -> None:
        """Write ``name.pth`` in one step, then point ``last_checkpoint`` at it."""
        if not self.save_dir or not self.save_to_disk:
            return
        data = {"model": self.model.state_dict()}
        data |= {key: part.state_dict() for key, part in self.checkpointables.items()} | kwargs
        buffer = io.BytesIO()
        torch.save(data, buffer)
        self.logger.info("Saving checkpoint to %s.pth", Path(self.save_dir) / name)
        atomic.write_bytes(Path(self.save_dir) / f"{name}.pth", buffer.getvalue())
        self.tag_last_checkpoint(f"{name}.pth")

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Name the checkpoint that a resumed run starts from."""
        atomic.write_text(Path(self.save_dir) / LAST, last_filename_basename)


def last(folder: Path) -> str | None:
    """Return the file name of the run's last checkpoint, None when there is none."""
    file = folder / LAST
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def tidy(folder: Path) -> None:
    """Prepare a run's folder for being resumed.

    Halves of checkpoints that a killed process left are removed, and so are the metrics of iterations after the last
    checkpoint: they are computed again, and each iteration shall stand there once.
    """
    for half in folder.glob(".model_*.pth.*"):
        half.unlink()
    match, metrics = re.fullmatch(r"model_(\d+)\.pth", last(folder) or ""), folder / "metrics.json"
    if metrics.is_file() and (match or last(folder) is None):
        done = int(match[1]) if match else -1
        lines = [line for line in metrics.read_text(encoding="utf-8").splitlines() if _iteration(line) <= done]
        atomic.write_text(metrics, "".join(f"{line}\n" for line in lines))


def _iteration(line: str) -> float:
    """Return the iteration that a line of metrics belongs to; infinity for half a line."""
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
