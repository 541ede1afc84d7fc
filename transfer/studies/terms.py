"""What the terms give each start before its cells: the length of its pretraining, and its hyper-parameters.

Everything here is read back from products of steps, so the same folder gives the same answer without measuring again.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from transfer.data.labels import Labels
from transfer.errors import InputError
from transfer.files.atomic import write_text
from transfer.records.record_file import read_run
from transfer.studies.data_sets import DataSet
from transfer.studies.fingerprints import key_of
from transfer.studies.local import FAILED, State, times
from transfer.studies.schema import ALL, COMPUTE, Search, Terms
from transfer.studies.step import Step, in_order
from transfer.studies.steps import PLAIN, Course, Steps

ROUNDS = 3  # of the speed measurement, all starts in turn in each
TRIAL_SEED = 1_000  # of the search, above the largest of the study
_SPEED = re.compile(r"([\d.]+) s an iteration")
_LENGTH = re.compile(r" for (\d+) iterations")

Run = Callable[[Sequence[Step]], list[State]]


def courses_of(steps: Steps, names: Sequence[str], run: Run) -> dict[str, Course]:
    """The course of each start of ``names``.

    Args:
        steps: makes the steps.
        names: starts.
        run: runs steps; see ``Local.run``.

    Raises:
        InputError: a speed could not be measured, or no trial of a start went through.
    """
    terms = steps.study.terms
    courses = dict.fromkeys(names, PLAIN)
    if terms.equal == COMPUTE:
        courses |= _equal_compute(steps, [name for name in names if steps.study.starts[name].pretrain], run)
    if terms.search is not None:
        return _search(steps, terms.search, courses, run)
    return courses


def measured(text: str) -> tuple[float, int]:
    """Seconds per iteration and iterations per epoch, from what ``pretrain --dry-run`` printed for one epoch."""
    speed, length = _SPEED.search(text), _LENGTH.search(text)
    if speed is None or length is None:
        raise InputError(f"pretrain --dry-run: expected a speed and a length, found {text.strip()[:80]!r}")
    return float(speed[1]), int(length[1])


def _equal_compute(steps: Steps, names: Sequence[str], run: Run) -> dict[str, Course]:
    terms, speeds = steps.study.terms, {name: [steps.speed(name, turn) for turn in range(ROUNDS)] for name in names}
    every = [speeds[name][turn] for turn in range(ROUNDS) for name in names]
    _check(run(every), "terms.equal: expected the speed of every start")
    courses = {}
    for name in names:
        measurements = [measured(step.product.read_text(encoding="utf-8")) for step in speeds[name]]
        courses[name] = equal_compute(terms, median(seconds for seconds, _ in measurements), measurements[0][1])
    return courses


def equal_compute(terms: Terms, seconds: float, per_epoch: int) -> Course:
    """As many iterations as fit into the terms' seconds, at ``seconds`` each; ``per_epoch`` scales the warm-up."""
    iterations = max(1, round((terms.seconds or 0) / max(seconds, 1e-3)))
    warmup = round(terms.warmup * iterations / per_epoch, 4)
    return Course({"schedule.iterations": iterations, "schedule.warmup_epochs": warmup}, {})


def _search(steps: Steps, search: Search, courses: Mapping[str, Course], run: Run) -> dict[str, Course]:
    """Try every point of the grid with each start: the same points, share of the course, seed and images for all.

    A trial is measured by its AP on training images that were held out; the val set is not read.
    """
    run(steps.data())
    data = held_out(steps, search)
    seed, most = max(steps.study.seeds) + TRIAL_SEED, _most_labels(steps, data)
    trials: dict[str, list[tuple[Course, Step]]] = {}
    for name, course in courses.items():
        start, points = steps.study.starts[name], _points(search, bool(steps.study.starts[name].pretrain))
        trials[name] = []
        for number, (pretrain, finetune) in enumerate(points):
            suffix = f"_trial_{number}"
            chosen = Course({**course.pretrain, **pretrain}, finetune)
            short = Course(
                _shortened(chosen.pretrain, steps.inputs.settings.get(name), search.share), finetune, search.share
            )
            pretrained = steps.pretrain(name, seed, short, suffix) if start.pretrain else None
            weights = steps.convert(name, pretrained) if pretrained or start.file else None
            trials[name].append((chosen, steps.finetune(name, seed, most, weights, short, data, suffix)))
    run([step for tried in trials.values() for _, step in tried])
    return {name: _best(name, tried) for name, tried in trials.items()}


def _most_labels(steps: Steps, data: DataSet) -> str:
    """The largest share of the study that the smaller training set still has."""
    whole = steps.inputs.data.train_images
    text = max(steps.study.labels, key=lambda text: Labels(text).count(whole))
    return text if text.endswith("%") or int(text) <= data.train_images else ALL


def _points(search: Search, pretrained: bool) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    first, second = (
        [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
        for grid in (search.pretrain if pretrained else {}, search.finetune)
    )
    return list(itertools.product(first, second))


def _shortened(options: Mapping[str, Any], settings: Mapping[str, Any] | None, share: float) -> dict[str, Any]:
    """Options of a pretraining of ``share`` the length."""
    if settings is None:
        return dict(options)
    schedule = settings["schedule"]
    iterations = options.get("schedule.iterations", schedule["iterations"])
    if iterations is not None:
        return {**options, "schedule.iterations": max(1, round(share * iterations))}
    return {**options, "schedule.epochs": max(1, round(share * options.get("schedule.epochs", schedule["epochs"])))}


def _best(name: str, tried: Sequence[tuple[Course, Step]]) -> Course:
    """The course with the highest AP, the first of equal ones; a trial that ended with an error has none."""
    aps = []
    for course, step in tried:
        if not step.product.exists() and not _has_failed(step):
            raise InputError(f"terms.search: expected all trials of {name}, found some missing; run the study first")
        if step.product.exists():
            metrics = read_run(step.product).metrics
            ap = metrics["segm"]["AP"] if metrics["segm"]["AP"] is not None else metrics["bbox"]["AP"]
            aps.append((ap or 0.0, course))
    if not aps:
        raise InputError(f"terms.search: expected a trial of {name} that ends, found none; see {tried[0][1].log}")
    return max(aps, key=lambda pair: pair[0])[1]


def _has_failed(step: Step) -> bool:
    """Whether a step, or one that it needs, was run to an end that is an error."""
    return any(tried and tried[-1][1] != 0 for each in in_order([step]) if (tried := times(each)))


def held_out(steps: Steps, search: Search) -> DataSet:
    """Train cut in two by image, the same way each time: what trials learn from, and what they are measured on."""
    data = steps.inputs.data
    assert data.coco is not None
    images, annotations = data.coco[0]
    key = key_of(data.key, search.held_out)
    folder = steps.out / "data" / f"search_{key}"
    parts = [(images, str(folder / f"{name}.json")) for name in ("fit", "held_out")]
    content = json.loads(Path(annotations).read_text(encoding="utf-8"))
    ids = sorted(image["id"] for image in content["images"])
    held = set(random.Random(0).sample(ids, max(1, round(search.held_out * len(ids)))))
    for (_, file), inside in zip(parts, (False, True), strict=True):
        if not Path(file).exists():
            part = {
                **content,
                "images": [i for i in content["images"] if (i["id"] in held) is inside],
                "annotations": [a for a in content["annotations"] if (a["image_id"] in held) is inside],
            }
            write_text(file, json.dumps(part))
    return DataSet(("--train", *parts[0], "--val", *parts[1]), key, len(ids) - len(held), (parts[0], parts[1]))


def _check(states: Sequence[State], what: str) -> None:
    for state in states:
        if state.status == FAILED:
            raise InputError(f"{what}, found none: {state.step.command}: {state.why}; see {state.step.log}")


def nothing(steps: Sequence[Step]) -> list[State]:
    """Run nothing: what is not there stays unknown."""
    return []
