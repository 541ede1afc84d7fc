"""What a study knows of a run besides its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Studied:
    """One run of a study.

    Attributes:
        folder: with its training curves.
        pretrain_seconds: that its start's pretraining took; 0 where nothing was pretrained, null where not measured.
        finetune_seconds: that its own training took; null where not measured.
        units: cores or GPUs that both used.
        probes: name -> what was measured on the frozen backbone before.
    """

    folder: Path
    pretrain_seconds: float | None
    finetune_seconds: float | None
    units: int = 1
    probes: Mapping[str, float] = field(default_factory=dict)
