"""One command of a study: what it makes, what it needs, and what determines it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DATA, SPEED, PRETRAIN, CONVERT, PROBE, FINETUNE = "data", "speed", "pretrain", "convert", "probe", "finetune"
KINDS = (DATA, SPEED, PRETRAIN, CONVERT, PROBE, FINETUNE)


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        kind: one of KINDS: steps of one kind take about as long as each other.
        name: for people, and in the names of its files.
        key: changes with everything that determines what it makes.
        arguments: what follows ``python`` on the command line.
        product: the file it makes, in one piece at its end: where that is, the step has been run.
        log: takes what it prints.
        needs: steps whose products it reads.
        gpus: that it takes, where there are any.
        captured: what it prints is its product.
    """

    kind: str
    name: str
    key: str
    arguments: tuple[str, ...]
    product: Path
    log: Path
    needs: tuple[Step, ...] = ()
    gpus: int = 1
    captured: bool = False

    @property
    def id(self) -> str:
        """Name of its files."""
        return f"{self.kind}_{self.name}_{self.key}"

    @property
    def command(self) -> str:
        """What a user would type."""
        return shlex.join(["python", *self.arguments])


def in_order(steps: Sequence[Step]) -> list[Step]:
    """The steps and all that they need, each once, needs first."""
    ordered: dict[str, Step] = {}
    for step in steps:
        for each in (*in_order(step.needs), step):
            ordered.setdefault(each.id, each)
    return list(ordered.values())
