"""A cell: one start of one seed with everything that is measured on it; cells can be run in any order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.evidence.plan import Plan
from benchmarks.evidence.pretraining import knn, pretrain, schedule
from benchmarks.evidence.sets import Photographs, Split, cut
from benchmarks.evidence.sizes import RANDOM, Init, Size
from benchmarks.evidence.steps import Step
from transfer.records.record_file import FILE_NAME

COMPUTE, EPOCHS = "compute", "epochs"


@dataclass(frozen=True)
class Cell:
    """One start of one seed, at equal compute or at equal epochs."""

    equal: str
    init: Init
    seed: int

    @property
    def name(self) -> str:
        """As --only takes it."""
        return f"{self.equal}/{self.init.name}/{self.seed}"

    def folder(self, out: Path) -> Path:
        """Where everything of it lies."""
        return out / self.equal / self.init.name / f"seed_{self.seed}"


def cells(size: Size) -> list[Cell]:
    """All of a size: equal compute first, seed by seed, so that what is there after an interruption can be compared."""
    found = [Cell(COMPUTE, init, seed) for seed in size.seeds for init in size.inits]
    return found + [Cell(EPOCHS, init, seed) for seed in size.seeds for init in size.parts]


def chain(cell: Cell, size: Size, plan: Plan, data: Photographs, objects: Path, out: Path) -> list[Step]:
    """A cell's steps, in order."""
    folder, steps, weights = cell.folder(out), [], RANDOM
    judged = f"{RANDOM}:resnet18"
    if cell.init.name != RANDOM:
        course = _course(cell, size, plan, data)
        steps.append(pretrain(cell.equal, f"{cell.name}, pretrained", cell.init, size, course, data, folder))
        steps.append(convert(cell.name, steps[0].product, folder))
        judged, weights = str(steps[0].product), str(steps[1].product)
    steps.append(knn(cell.name, judged, objects, size, cell.seed, folder))
    if cell.equal == COMPUTE:
        steps += [finetune(cell, size, data, weights, folder, share) for share in size.labels]
    if size.frozen:
        steps.append(finetune(cell, size, data, weights, folder, size.labels[0], frozen=True))
    return steps


def _course(cell: Cell, size: Size, plan: Plan, data: Photographs) -> dict[str, Any]:
    # A part of the ablation is the joint method with one thing changed, its learning rate not among them.
    rate = plan.rates.get(cell.init.name, plan.rates.get("metamask_compmod", 0.0))
    if cell.equal == COMPUTE:
        iterations = plan.iterations[cell.init.name]
    else:
        iterations = size.epochs * (plan.data["unlabelled"] // size.pretraining["data.batch"])
    return schedule(iterations, rate, cell.seed, size, data)


def convert(name: str, backbone: Path, folder: Path) -> Step:
    """The step that makes Detectron2's file."""
    out = folder / "detectron2.pth"
    arguments = ("transfer", "convert", str(backbone), "--to", "detectron2", "--out", str(out))
    return Step("convert", f"{name}, converted", out, arguments, folder / "log")


def finetune(
    cell: Cell, size: Size, data: Photographs, weights: str, folder: Path, share: str, *, frozen: bool = False
) -> Step:
    """The step that trains a detector with a share of the labels and measures it on val."""
    run = folder / run_name(share, frozen)
    flags = ["--labels", share] if share != "100%" else []
    flags += ["--freeze-backbone"] if frozen else []
    flags += ["--name", f"{cell.init.name}_seed_{cell.seed}_{run.name}"]
    arguments = _train_net(size, weights, cell.seed, data.train, data.val, run, [*flags, "--resume"], [])
    return Step(run.name, f"{cell.name}, {run.name.replace('_', ' ')}", run / FILE_NAME, arguments, folder / "log")


def run_name(share: str, frozen: bool = False) -> str:
    """Name of a run's folder, such as labels_10 or frozen_10."""
    return f"{'frozen' if frozen else 'labels'}_{share.rstrip('%')}"


def curve(size: Size, data: Photographs, out: Path) -> Step:
    """The step that shows whether random weights have flattened: measured along the way, on a part of train."""
    fit, held_out = cut(data.train, out)
    run = out / "random_curve"
    period = ["TEST.EVAL_PERIOD", str(max(1, size.iterations // 6))]
    flags = ["--labels", size.labels[0], "--resume"] if size.labels[0] != "100%" else ["--resume"]
    arguments = _train_net(size, RANDOM, 0, fit, held_out, run, flags, period)
    return Step("curve", "random weights, measured along the way", run / FILE_NAME, arguments, out / "curve.log")


def _train_net(
    size: Size, init: str, seed: int, train: Split, val: Split, run: Path, flags: list[str], rest: list[str]
) -> tuple[str, ...]:
    return (
        *("transfer.train_net", "--config-file", size.detector, "--init", init, "--seed", str(seed)),
        *("--train", *train.arguments, "--val", *val.arguments),
        *flags,
        *size.course,
        *rest,
        *("OUTPUT_DIR", str(run)),
    )
