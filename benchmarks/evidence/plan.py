"""What each start gets, fixed before any cell is run: its learning rate and, from the measured speed, its length."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.evidence import steps
from benchmarks.evidence.pretraining import accuracy, command, knn, objects, pretrain, schedule
from benchmarks.evidence.sets import Photographs, cut
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
        scores: start -> learning rate -> 5-nn accuracy on the held-out part of train, percent.
        rates: start -> the learning rate with the best score.
        iterations: start -> iterations of pretraining at equal compute.
    """

    size: str
    data: dict[str, Any]
    machine: str
    seconds: dict[str, float]
    scores: dict[str, dict[str, float]]
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
    scores = search(starts, size, data, out / "search", short)
    rates = {start: float(max(found, key=lambda lr: found[lr])) for start, found in scores.items()}
    iterations = {init.name: max(1, round(size.budget / seconds[init.name])) for init in starts}
    return Plan(name, facts, machine, seconds, scores, rates, iterations)


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
) -> dict[str, dict[str, float]]:
    """5-nn accuracy of every learning rate after a short training, on images of train that the neighbours are not from.

    The same rates, share of the budget and seed for every start. The val split takes no part.
    """
    fit, held_out = cut(data.train, out)
    folders = objects(fit, held_out, out / "objects")
    chains, records = [], {}
    for init in starts:
        for rate in size.rates:
            folder, name = out / init.name / f"lr_{rate:g}", f"search: {init.name}, lr {rate:g}"
            course = schedule(iterations[init.name], rate, SEARCH_SEED, size, data)
            first = pretrain("search", name, init, size, course, data, folder)
            judged = knn(name, str(first.product), folders, size, SEARCH_SEED, folder)
            records[init.name, rate] = judged.product
            chains.append([first, judged])
    steps.run(chains, size.jobs)
    return {init.name: {f"{rate:g}": accuracy(records[init.name, rate]) for rate in size.rates} for init in starts}
