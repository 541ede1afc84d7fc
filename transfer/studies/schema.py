"""What a study file may say: dataclasses that hold one as it was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RANDOM = "random"
TRAIN = "train"  # of `unlabelled`: the training images, without their labels
EPOCHS, COMPUTE = "epochs", "compute"
ALL = "100%"
LENGTH = ("SOLVER.MAX_ITER", "SOLVER.STEPS")  # what a factor on the schedule changes


@dataclass(frozen=True)
class Digits:
    """The demo's set, composed by the study: images of each part, their side in pixels, and the seed."""

    train: int = 240
    val: int = 60
    unlabeled: int = 600
    size: int = 96
    seed: int = 0


@dataclass(frozen=True)
class Data:
    """What is trained on, measured on and pretrained on; paths count from the folder the command is run in.

    Attributes:
        train, val: image folder and COCO-format file.
        train_voc, val_voc: VOC folders with their image lists, as ROOT:SPLIT.
        digits: the demo's set instead. Without any of these: the detector config's DATASETS.
        unlabelled: folders, lists or shards as ``python -m pretrain --data`` takes them, or ("train",).
    """

    train: tuple[str, ...] | None = None
    val: tuple[str, ...] | None = None
    train_voc: tuple[str, ...] = ()
    val_voc: str | None = None
    digits: Digits | None = None
    unlabelled: tuple[str, ...] | str = ()


@dataclass(frozen=True)
class Start:
    """What a detector starts from; random weights where none of pretrain, file and detector is given.

    Attributes:
        pretrain: config of a pretraining, a path or a packaged name.
        options: of that config, as after ``--cfg-options``.
        init: weights that the pretraining itself starts from.
        file: a checkpoint as ``transfer convert`` takes it.
        detector: a whole detector of Detectron2 or torchvision, as ``train_net --init-detector`` takes it.
        convention: how the network of ``file`` or ``detector`` was fed, as ``transfer convert --convention``.
        allow_partial: take what fits of ``detector``, as ``train_net --allow-partial``.
    """

    pretrain: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    file: str | None = None
    detector: str | None = None
    convention: str | None = None
    allow_partial: bool = False


@dataclass(frozen=True)
class Detector:
    """The detector and how it is trained; every start gets the same.

    Attributes:
        config: a path or a packaged name.
        options: config keys, such as ``SOLVER.MAX_ITER: 1000``.
        lr: learning rate, for all starts; `terms.search` finds one for each.
        backbone_lr_factor: learning rate of the backbone relative to that of the rest, as ``train_net``'s flag.
        lr_scale: "batch": schedule by the batch size, as ``train_net --lr-scale``.
        schedule_scale: length of the schedule relative to the config's; or one for each entry of ``labels``.
        freeze_backbone, amp, channels_last: as the flags of ``train_net``.
        gpus: of one fine-tuning.
    """

    config: str
    options: dict[str, Any] = field(default_factory=dict)
    lr: float | None = None
    backbone_lr_factor: float | None = None
    lr_scale: str | None = None
    schedule_scale: float | dict[str, float] | None = None
    freeze_backbone: bool = False
    amp: bool = False
    channels_last: bool = False
    gpus: int = 1


@dataclass(frozen=True)
class Search:
    """A grid that each start is tried on, with a short course on a part of train, before its cells are run.

    Attributes:
        pretrain: option of the pretraining configs -> values.
        finetune: key of the detector config -> values.
        share: length of a trial's pretraining and fine-tuning relative to a cell's.
        held_out: share of the training images that trials are measured on.
    """

    pretrain: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    finetune: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    share: float = 0.25
    held_out: float = 0.2


@dataclass(frozen=True)
class Terms:
    """What makes the comparison fair.

    Attributes:
        equal: "epochs": every pretraining as long as its config and options say. "compute": as many iterations as fit
            into ``seconds`` at the speed that each has on this machine, measured side by side before the first cell.
        seconds: of one pretraining, with "compute".
        warmup: share of the iterations, with "compute".
        search: hyper-parameters to search.
    """

    equal: str = EPOCHS
    seconds: float | None = None
    warmup: float = 0.1
    search: Search | None = None


@dataclass(frozen=True)
class Probes:
    """Cheap numbers taken of every backbone before it is fine-tuned.

    Attributes:
        data: class folders or an archive, as ``python -m pretrain evaluate --data`` takes them.
        protocols: "knn", "linear".
        size: side that images are brought to, pixels; null for the backbone's own.
    """

    data: str
    protocols: tuple[str, ...] = ("knn",)
    size: int | None = None


@dataclass(frozen=True)
class Study:
    """A study, checked as far as that goes without looking at the data."""

    data: Data
    starts: dict[str, Start]
    detector: Detector
    seeds: tuple[int, ...] = (0, 1, 2)
    labels: tuple[str, ...] = (ALL,)
    labels_seed: int = 0
    baseline: str | None = None
    terms: Terms = field(default_factory=Terms)
    probes: Probes | None = None
    gpus: int = 1  # of one pretraining
