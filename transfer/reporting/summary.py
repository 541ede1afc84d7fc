"""All numbers of a report, before it is written in any form: groups, differences, verdicts, classes, errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from transfer.comparison.bootstrap import ImageResamples
from transfer.comparison.compare import (
    BASELINE,
    Difference,
    Group,
    Value,
    class_difference,
    difference,
    group,
    mean,
)
from transfer.comparison.verdicts import Verdict, judge, primary
from transfer.records.record import ALL_METRICS, TASKS, Record, Tide, Weights
from transfer.reporting.curves import Points

T = TypeVar("T")
# Values of one group: (id of the group, task, metric or class or kind of error).
Key = tuple[int, str, str]


@dataclass(frozen=True)
class Summary:
    """What the runs say.

    Attributes:
        records: as given.
        groups: by label fraction (most first) and start (baseline first).
        baseline: what starts are compared with; null when no run is.
        images: what resampling the val images gave.
        verdicts: every start against the baseline, box AP then mask AP.
        task: what the answer is about.
        differences: of each metric, to the baseline at the same label fraction, in percentage points.
        classes: AP of each class, mean over the runs in percent.
        class_differences: of each class's AP, at the largest label fraction.
        errors: what each kind of error costs, mean over the runs in percentage points of AP50.
    """

    records: list[Record]
    groups: list[Group]
    baseline: str | None
    images: ImageResamples
    verdicts: list[Verdict]
    task: str
    differences: dict[Key, Difference]
    classes: dict[Key, Value]
    class_differences: dict[Key, Difference]
    errors: dict[Key, Value]

    @cached_property
    def fractions(self) -> list[float | None]:
        """Label fractions, most first."""
        return list(dict.fromkeys(group.fraction for group in self.groups))

    @cached_property
    def inits(self) -> list[str]:
        """Starts, the baseline first."""
        names = list(dict.fromkeys(group.init for group in self.groups))
        return sorted(names, key=lambda name: name != self.baseline)

    @property
    def weights(self) -> list[tuple[str, Weights | None]]:
        """Each start with each file that its runs began from; None for random initialisation."""
        pairs = {}
        for init in self.inits:
            for run in self.runs(init):
                pairs[init, run.weights.sha256 if run.weights else ""] = (init, run.weights)
        return sorted(pairs.values(), key=lambda pair: (self.inits.index(pair[0]), pair[1] is None))

    @property
    def seeds(self) -> int:
        """How many different seeds were run."""
        return len({run.seed for run in self.records if run.seed is not None})

    @property
    def tested(self) -> int:
        """How many comparisons Holm's correction goes over, for one task."""
        return len([verdict for verdict in self.about(self.task) if verdict.p is not None])

    def runs(self, init: str) -> list[Record]:
        """Return a start's runs at all label fractions."""
        return [run for group in self.groups if group.init == init for run in group.runs]

    def at(self, fraction: float | None) -> list[Group]:
        """Return the groups of one label fraction."""
        return [group for group in self.groups if group.fraction == fraction]

    def base(self, fraction: float | None) -> Group | None:
        """Return the baseline's group at one label fraction."""
        return next((group for group in self.at(fraction) if group.init == self.baseline), None)

    def about(self, task: str) -> list[Verdict]:
        """Return the verdicts on one task."""
        return [verdict for verdict in self.verdicts if verdict.task == task]

    def verdict(self, group: Group, task: str) -> Verdict | None:
        """Return a group's verdict; None for the baseline, and where there is none."""
        return next((v for v in self.verdicts if v.ours is group and v.task == task), None)

    def difference(self, group: Group, task: str, metric: str) -> Difference | None:
        """Return how far a group is above the baseline; None for the baseline, and where one was not measured."""
        return self.differences.get((id(group), task, metric))

    def class_ap(self, group: Group, task: str, name: str) -> Value | None:
        """Return a class's AP; None where a run did not measure it."""
        return self.classes.get((id(group), task, name))

    def class_difference(self, group: Group, task: str, name: str) -> Difference | None:
        """Return how far a group at the largest label fraction is above the baseline in one class's AP."""
        return self.class_differences.get((id(group), task, name))

    def error(self, group: Group, task: str, kind: str) -> Value | None:
        """Return what a kind of error, a field of ``Tide``, costs; None where a record does not have it."""
        return self.errors.get((id(group), task, kind))

    @property
    def leading(self) -> Group | None:
        """The start with the largest AP at the largest label fraction, the baseline aside."""
        gains = [(v.ours, v.difference.mean) for v in self.about(self.task) if v.ours.fraction == self.fractions[0]]
        return max(gains, key=lambda pair: pair[1])[0] if gains else None


def summarise(records: Sequence[Record], baseline: str | None, images: ImageResamples) -> Summary:
    """Return what comparable runs say.

    Args:
        records: at least one.
        baseline: the start to compare with; None takes "random" where there is such a run.
        images: what resampling gave.

    Raises:
        InputError: no run starts from ``baseline``.
    """
    groups = group(records, baseline, images)
    names = {g.init for g in groups}
    chosen = baseline or (BASELINE if BASELINE in names else None)
    bases = {g.fraction: g for g in groups if g.init == chosen}
    pairs = [(g, bases[g.fraction]) for g in groups if g.fraction in bases and g is not bases[g.fraction]]
    classes = records[0].data.val.classes
    kinds = [field.name for field in dataclasses.fields(Tide)]
    return Summary(
        records=list(records),
        groups=groups,
        baseline=chosen,
        images=images,
        verdicts=judge(groups, chosen, images),
        task=primary(groups),
        differences=_present(
            ((id(g), task, metric), difference(g, base, task, metric, images))
            for g, base in pairs for task in TASKS for metric in ALL_METRICS
        ),
        classes=_present(
            ((id(g), task, name), mean([run.per_class[task].get(name) for run in g.runs]))
            for g in groups for task in TASKS for name in classes
        ),
        class_differences=_present(
            ((id(g), task, name), class_difference(g, base, task, name, images))
            for g, base in pairs if g.fraction == groups[0].fraction for task in TASKS for name in classes
        ),
        errors=_present(
            ((id(g), task, kind), mean([_cost(run.tide[task], kind) for run in g.runs]))
            for g in groups for task in TASKS for kind in kinds
        ),
    )  # fmt: skip


def _present(pairs: Iterable[tuple[Key, T | None]]) -> dict[Key, T]:
    return {key: value for key, value in pairs if value is not None}


def _cost(tide: Tide | None, kind: str) -> float | None:
    return None if tide is None else float(getattr(tide, kind))


def mean_curve(curves: Sequence[Points]) -> Points:
    """Return the mean over runs at the x that all of them have."""
    shared = set.intersection(*({x for x, _ in points} for points in curves))
    by_x = [dict(points) for points in curves]
    return tuple((x, float(np.mean([values[x] for values in by_x]))) for x in sorted(shared))
