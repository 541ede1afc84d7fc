"""What each start gets, fixed before any cell is run: its learning rate and, from the measured speed, its length."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.evidence import steps
from benchmarks.evidence.pretraining import Ending, command, ending, pretrain, schedule
from benchmarks.evidence.sets import Photographs
from benchmarks.evidence.sizes import RANDOM, Init, Size
from benchmarks.evidence.steps import Step
from benchmarks.outputs import Failed
from transfer.files.atomic import write_text

ROUNDS = 3  # of the speed measurement, all starts in turn in each
FEWEST = 10  # iterations of the search: a fifth of them must show a spread
SEARCH_SEED = 100  # of the search; no cell has it


@dataclass(frozen=True)
class Plan:
    """What every cell is run with.

    Attributes:
        size: name of the size.
        data: the set, see `Photographs.facts`.
        machine: what the speeds were measured on.
        seconds: start -> seconds per iteration.
        endings: start -> learning rate -> how a short training ended; null where it diverged.
        rates: start -> the learning rate, see `choose`.
        iterations: start -> iterations of pretraining at equal compute.
    """

    size: str
    data: dict[str, Any]
    machine: str
    seconds: dict[str, float]
    endings: dict[str, dict[str, Ending | None]]
    rates: dict[str, float]
    iterations: dict[str, int]


def read(path: Path) -> Plan:
    """Read a plan.

    Raises:
        Failed: not such a file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for endings in found["endings"].values():
            endings.update({rate: one and Ending(**one) for rate, one in endings.items()})
        return Plan(**found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Failed(f"{path}: expected a plan of benchmarks.evidence, found {error}; leave --plan out") from None


def write(path: Path, plan: Plan) -> None:
    """Write a plan in one step."""
    write_text(path, json.dumps(asdict(plan), indent=2) + "\n")


def make(name: str, size: Size, data: Photographs, out: Path, machine: str) -> Plan:
    """Measure the speeds, search the learning rates, and fix the iterations."""
    starts = [init for init in size.inits if init.name != RANDOM]
    facts = data.facts()
    seconds = measure(starts, size, data, out / "speed")
    short = {init.name: max(FEWEST, round(size.rehearsal * size.budget / seconds[init.name])) for init in starts}
    endings = search(starts, size, data, out / "search", short)
    rates = {start: choose(found) for start, found in endings.items()}
    iterations = {init.name: max(1, round(size.budget / seconds[init.name])) for init in starts}
    return Plan(name, facts, machine, seconds, endings, rates, iterations)


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
) -> dict[str, dict[str, Ending | None]]:
    """How a short training ends at every learning rate.

    The same rates, share of the budget and seed for every start, each judged by its own losses: no label takes part,
    and images are seen so few times that the loss of training is that of new images. Tried and given up: 5-nn accuracy
    on cut-out objects, whose standard error of 2 points was larger than any difference; and the whole loss alone, which
    for MetaMask took a rate at which the contrastive loss rose above its start.
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
    return {init.name: {f"{rate:g}": ending(folders[init.name, rate]) for rate in size.rates} for init in starts}


def choose(endings: Mapping[str, Ending | None]) -> float:
    """The learning rate with the lowest judged loss, or the one with the lowest whole loss that cannot be told from it.

    Cannot be told: their judged losses differ by no more than the standard error of that difference.

    Raises:
        Failed: all diverged.
    """
    known = {rate: found for rate, found in endings.items() if found is not None}
    if not known:
        raise Failed(f"search: expected a learning rate that trains, found none among {', '.join(endings)}")
    best = min(known.values(), key=lambda found: found.judged)
    close = {
        rate: found.whole
        for rate, found in known.items()
        if found.judged - best.judged <= math.hypot(found.error, best.error)
    }
    return float(min(close, key=lambda rate: close[rate]))
