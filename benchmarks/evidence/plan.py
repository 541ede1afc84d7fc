"""What each start gets, fixed before any cell is run: its learning rate and, from the measured speed, its length."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.evidence import steps
from benchmarks.evidence.pretraining import command, last_loss, pretrain, schedule
from benchmarks.evidence.sets import Photographs
from benchmarks.evidence.sizes import RANDOM, Init, Size
from benchmarks.evidence.steps import Step
from benchmarks.outputs import Failed
from transfer.atomic import write_text

ROUNDS = 3  # of the speed measurement, all starts in turn in each
SEARCH_SEED = 100  # of the search; no cell has it


@dataclass(frozen=True)
class Plan:
    """What every cell is run with.

    Attributes:
        size: name of the size.
        data: the set, see `Photographs.facts`.
        machine: what the speeds were measured on.
        seconds: start -> seconds per iteration.
        losses: start -> learning rate -> mean loss over the last fifth of a short training; null where it diverged.
        rates: start -> the learning rate with the lowest loss.
        iterations: start -> iterations of pretraining at equal compute.
    """

    size: str
    data: dict[str, Any]
    machine: str
    seconds: dict[str, float]
    losses: dict[str, dict[str, float | None]]
    rates: dict[str, float]
    iterations: dict[str, int]


def read(path: Path) -> Plan:
    """Read a plan.

    Raises:
        Failed: not such a file.
    """
    try:
        return Plan(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise Failed(f"{path}: expected a plan of benchmarks.evidence, found {error}; leave --plan out") from None


def write(path: Path, plan: Plan) -> None:
    """Write a plan in one step."""
    write_text(path, json.dumps(asdict(plan), indent=2) + "\n")


def make(name: str, size: Size, data: Photographs, out: Path, machine: str) -> Plan:
    """Measure the speeds, search the learning rates, and fix the iterations."""
    starts = [init for init in size.inits if init.name != RANDOM]
    facts = data.facts()
    seconds = measure(starts, size, data, out / "speed")
    short = {init.name: max(1, round(size.rehearsal * size.budget / seconds[init.name])) for init in starts}
    losses = search(starts, size, data, out / "search", short)
    rates = {start: _lowest(start, found) for start, found in losses.items()}
    iterations = {init.name: max(1, round(size.budget / seconds[init.name])) for init in starts}
    return Plan(name, facts, machine, seconds, losses, rates, iterations)


def measure(starts: list[Init], size: Size, data: Photographs, out: Path) -> dict[str, float]:
    """Seconds per iteration of each start: median over rounds, with as many side by side as the cells will have."""
    chains = []
    for turn in range(ROUNDS):
        for init in starts:
            product = out / f"{init.name}_{turn}.json"
            config, options = command(init, size, {"schedule.iterations": 100})  # the length has no part in it
            arguments = ("benchmarks.evidence.speed", config, str(data.unlabelled), str(product), *options)
            log = out / f"{init.name}.log"
            chains.append([Step("speed", f"speed of {init.name}, round {turn + 1}", product, arguments, log)])
    steps.run(chains, size.jobs)
    found = {}
    for init in starts:
        files = [out / f"{init.name}_{turn}.json" for turn in range(ROUNDS)]
        found[init.name] = median(json.loads(f.read_text(encoding="utf-8"))["seconds"] for f in files)
    return found


def search(
    starts: list[Init], size: Size, data: Photographs, out: Path, iterations: Mapping[str, int]
) -> dict[str, dict[str, float | None]]:
    """Loss at the end of a short training at every learning rate.

    The same rates, share of the budget and seed for every start, each judged by its own loss: no label takes part, and
    images are seen so few times that the loss of training is that of new images. (5-nn accuracy on cut-out objects was
    tried first; its standard error of 2 points was larger than any difference between the rates.)
    """
    chains, folders = [], {}
    for init in starts:
        for rate in size.rates:
            folder = folders[init.name, rate] = out / init.name / f"lr_{rate:g}"
            course = {**schedule(iterations[init.name], rate, SEARCH_SEED, size, data), "run.log_every": 1}
            name = f"search: {init.name}, lr {rate:g}"
            step = pretrain("search", name, init, size, course, data, folder)
            chains.append([dataclasses.replace(step, may_fail=True)])
    steps.run(chains, size.jobs)
    return {init.name: {f"{rate:g}": last_loss(folders[init.name, rate]) for rate in size.rates} for init in starts}


def _lowest(start: str, losses: Mapping[str, float | None]) -> float:
    known = {rate: loss for rate, loss in losses.items() if loss is not None}
    if not known:
        raise Failed(f"search: {start}: expected a learning rate that trains, found none among {', '.join(losses)}")
    return float(min(known, key=lambda rate: known[rate]))
