"""A cell: one start, one seed, one share of the labels; a chain of steps, of which others share the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transfer.errors import InputError
from transfer.studies.schema import Study
from transfer.studies.step import Step
from transfer.studies.steps import PLAIN, Course, Steps


@dataclass(frozen=True)
class Cell:
    """One start, one seed and one share of the labels."""

    start: str
    seed: int
    labels: str

    @property
    def name(self) -> str:
        """As ``--only`` takes it, whole or the first parts of it."""
        return f"{self.start}/{self.seed}/{self.labels}"


@dataclass(frozen=True)
class Chain:
    """A cell's steps: its fine-tuning, which needs all that comes before, and the probes of its backbone."""

    cell: Cell
    finetune: Step
    probes: tuple[Step, ...]
    pretrain: Step | None

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is to be there in the end."""
        return (*self.probes, self.finetune)


def cells(study: Study) -> list[Cell]:
    """All cells, seed by seed, so that what is there after an interruption can be compared."""
    return [Cell(start, seed, labels) for seed in study.seeds for start in study.starts for labels in study.labels]


def chain(cell: Cell, steps: Steps, courses: Mapping[str, Course]) -> Chain:
    """A cell's steps, each start trained as the terms give it."""
    start, course = steps.study.starts[cell.start], courses.get(cell.start, PLAIN)
    pretrained = steps.pretrain(cell.start, cell.seed, course) if start.pretrain else None
    weights = steps.convert(cell.start, pretrained) if pretrained or start.file else None
    probes: tuple[Step, ...] = ()
    if steps.study.probes and not (start.file or start.detector):  # `pretrain evaluate` reads our own files only
        probes = tuple(steps.probe(cell.start, cell.seed, p, pretrained) for p in steps.study.probes.protocols)
    finetuned = steps.finetune(cell.start, cell.seed, cell.labels, weights, course)
    return Chain(cell, finetuned, probes, pretrained)


def select(all_cells: Sequence[Cell], only: Sequence[str] = (), shard: tuple[int, int] = (0, 1)) -> list[Cell]:
    """The cells that ``--only`` names, by whole parts of their names, and of these the ``shard``'s.

    Shard (i, n) is the i-th of n runs of neighbours, for neighbours share a pretraining.

    Raises:
        InputError: a name that no cell begins with.
    """
    for name in only:
        if not any(_named(name, cell) for cell in all_cells):
            known = ", ".join(dict.fromkeys(cell.start for cell in all_cells))
            raise InputError(
                f"--only: expected START, START/SEED or START/SEED/LABELS of {known}, found {name}; correct it"
            )
    chosen = [cell for cell in all_cells if not only or any(_named(name, cell) for name in only)]
    number, of = shard
    return chosen[number * len(chosen) // of : (number + 1) * len(chosen) // of]


def _named(name: str, cell: Cell) -> bool:
    return f"{cell.name}/".startswith(f"{name}/")
