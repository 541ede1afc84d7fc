"""What the experiment compares, and how much of it: ``cpu``, which anyone can rerun, and ``gpu``, which counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RANDOM = "random"


@dataclass(frozen=True)
class Init:
    """What a detector starts from.

    Attributes:
        name: of its folder, and on the command line.
        config: stem of the pretraining config; "" for random weights.
        options: what differs from that config.
    """

    name: str
    config: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        inits: compared at equal compute, fine-tuned.
        parts: compared at equal epochs by kNN and frozen AP alone: the main ones and the ablation of the joint method.
        seeds: of pretraining and fine-tuning; seed s of one start is paired with seed s of another.
        labels: shares of the training images whose labels are used.
        frozen: whether detectors on a frozen backbone are trained too, with the first of ``labels``.
        budget: seconds of pretraining, on the measured speed of this machine.
        epochs: of the comparison at equal epochs.
        rates: learning rates to choose from, for each start alike.
        rehearsal: share of the budget that a run of the search gets.
        pretraining: options of every pretraining.
        view: side of the views, pixels.
        detector: packaged config of the detector.
        course: its flags and overrides.
        iterations: of fine-tuning, after those flags.
        jobs: commands side by side, in every stage.
    """

    inits: tuple[Init, ...]
    seeds: tuple[int, ...]
    labels: tuple[str, ...]
    budget: float
    pretraining: Mapping[str, Any]
    course: tuple[str, ...]
    iterations: int
    jobs: int
    view: int = 64
    frozen: bool = False
    parts: tuple[Init, ...] = ()
    epochs: int = 0
    rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)
    rehearsal: float = 0.25
    detector: str = "any_mask_rcnn_R_18_FPN_small"

    def with_labels(self, labels: tuple[str, ...]) -> Size:
        """The same with other shares of the labels."""
        return dataclasses.replace(self, labels=labels)


def _method(name: str) -> Init:
    return Init(name, f"{name}_r18_any_100e")


def _joint(name: str, **options: Any) -> Init:
    return Init(name, "metamask_compmod_r18_any_100e", {key.replace("__", "."): v for key, v in options.items()})


_MAIN = tuple(
    _method(name)
    for name in (
        "simclr",
        "barlow_twins",
        "byol",
        "barlow_simclr",
        "metamask",
        "simclr_compmod",
        "metamask_compmod",
    )
)
_FAST = Init("metamask_compmod_fast", "metamask_compmod_r18_any_100e_fast")
_ABLATION = (
    _joint("forward_mode", meta__hypergradient="forward_mode"),
    _joint("finite_difference", meta__hypergradient="finite_difference"),
    _joint("first_order", meta__hypergradient="first_order"),
    _joint("single_level", meta__hypergradient="single_level"),
    _joint("compmod_raw", objective__comp_input="raw"),
    _joint("lambda1_0.01", objective__mcr_weight=0.01),
    _joint("lambda1_1", objective__mcr_weight=1.0),
)

CPU = Size(
    inits=(Init(RANDOM, ""), _method("simclr"), _method("metamask"), _method("metamask_compmod")),
    seeds=(0, 1, 2),
    labels=("10%",),
    budget=400,  # of one core
    pretraining={"data.batch": 32, "data.workers": 0, "run.log_every": 10, "run.checkpoint_every": 100},
    # 450 iterations, images seen at 96 px: at this budget more looks are worth more than more pixels.
    course=("--schedule-scale", "0.75", "INPUT.MIN_SIZE_TRAIN", "(96,)", "INPUT.MIN_SIZE_TEST", "96"),
    iterations=450,
    jobs=2,
)
GPU = Size(
    inits=(Init(RANDOM, ""), *_MAIN, _FAST),
    seeds=(0, 1, 2),
    labels=("10%", "100%"),
    frozen=True,
    budget=240,
    parts=(*_MAIN, *_ABLATION),
    epochs=20,
    view=128,
    pretraining={
        "data.batch": 256,
        "data.workers": 4,
        "run.precision": "bf16",
        "run.channels_last": True,
        "run.log_every": 20,
        "run.checkpoint_every": 200,
    },
    course=(
        *("--lr-scale", "batch", "--schedule-scale", "5", "--channels-last"),
        *("SOLVER.IMS_PER_BATCH", "16", "DATALOADER.NUM_WORKERS", "4"),
        *("INPUT.MIN_SIZE_TRAIN", "(160,)", "INPUT.MIN_SIZE_TEST", "160"),
    ),
    iterations=750,
    jobs=3,
)
SIZES = {"cpu": CPU, "gpu": GPU}
