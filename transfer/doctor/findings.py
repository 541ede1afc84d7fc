"""What the doctor's rules look at, and what they find.

An error makes the run wrong; a warning is a choice that costs AP or time when it is not meant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or doubtful.

    Attributes:
        level: ``error`` or ``warning``.
        what: what is wrong: expected X, found Y.
        where: the config key or file.
        why: what it costs.
        fix: what to do.
    """

    level: str
    what: str
    where: str
    why: str
    fix: str

    def __str__(self) -> str:
        """Two lines: the fault and its place, the reason and the remedy."""
        return f"{self.level}: {self.where}: {self.what}\n  {self.why}; {self.fix}"


@dataclass(frozen=True)
class Situation:
    """What the rules look at.

    Attributes:
        cfg: a resolved Detectron2 config.
        metadata: what the weights say about themselves (contract 1), {} when unknown.
        classes: classes of the training data; None when unknown.
        gpus: processes that train, each with a GPU of its own; 0 on a machine without.
        stock: the run is started by Detectron2's own script, which replaces nothing.
        registered: registry -> names in it; {} when Detectron2 was not asked.
    """

    cfg: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)
    classes: int | None = None
    gpus: int = 0
    stock: bool = False
    registered: Mapping[str, Collection[str]] = field(default_factory=dict)

    @property
    def has_weights(self) -> bool:
        """The run starts from some file."""
        return bool(self.metadata or self.cfg.MODEL.WEIGHTS)


def value(cfg: Any, key: str) -> Any:
    """The value under a dotted key."""
    for part in key.split("."):
        cfg = getattr(cfg, part)
    return cfg
