"""Room on the disk for a whole study, estimated before anything is written."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transfer.checkpoints.resnets import SPECS, expected
from transfer.errors import InputError
from transfer.studies.schema import Study

GIGABYTE = 1e9
_PER_PARAMETER = 4 * 2  # bytes of float32: the weight and its momentum


def needed(study: Study, settings: Mapping[str, Mapping[str, Any]], arch: Mapping[str, str]) -> float:
    """Bytes that a whole study leaves behind, about: checkpoints of pretrainings, converted and fine-tuned weights."""
    total = 0.0
    for name, start in study.starts.items():
        backbone = sum(map(math.prod, expected(SPECS[arch[name]]).values()))
        checkpoints = settings[name]["run"]["keep"] if start.pretrain else 0
        pretraining = backbone * (2 * _PER_PARAMETER * checkpoints + 4)  # heads weigh about as much as the backbone
        conversion = 0.0 if not (start.pretrain or start.file) else backbone * 4
        finetuning = 2 * backbone * _PER_PARAMETER  # and so do the detector's
        total += len(study.seeds) * (pretraining + conversion + len(study.labels) * finetuning)
    return total


def check_disk(out: Path, needed: float) -> None:
    """Raise InputError when less than ``needed`` bytes are free where ``out`` is or will be.

    What an earlier call has left counts as if it had to be written again.
    """
    place = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    there = sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) if out.is_dir() else 0
    free = shutil.disk_usage(place).free
    if free + there < needed:
        raise InputError(
            f"--out {out}: expected about {needed / GIGABYTE:.1f} GB free for the whole study, found "
            f"{free / GIGABYTE:.1f} GB; make room, or name a folder on another disk"
        )
