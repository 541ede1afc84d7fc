"""The study file: what is compared, on which data, how often and under which terms."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import transfer
from transfer.data.labels import Labels
from transfer.errors import InputError
from transfer.studies.yaml_fields import decode, read_yaml

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
    """What a detector starts from; random weights where none of the three is given.

    Attributes:
        pretrain: config of a pretraining, a path or a packaged name.
        options: of that config, as after ``--cfg-options``.
        init: weights that the pretraining itself starts from.
        file: a checkpoint as ``transfer convert`` takes it.
        convention: how a file's network was fed, as ``transfer convert --convention``.
    """

    pretrain: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    file: str | None = None
    convention: str | None = None


@dataclass(frozen=True)
class Detector:
    """The detector and how it is trained; every start gets the same.

    Attributes:
        config: a path or a packaged name.
        options: config keys, such as ``SOLVER.MAX_ITER: 1000``.
        lr: learning rate, for all starts; `terms.search` finds one for each.
        lr_scale: "batch": schedule by the batch size, as ``train_net --lr-scale``.
        schedule_scale: length of the schedule relative to the config's; or one for each entry of ``labels``.
        freeze_backbone, amp, channels_last: as the flags of ``train_net``.
        gpus: of one fine-tuning.
    """

    config: str
    options: dict[str, Any] = field(default_factory=dict)
    lr: float | None = None
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


def read_study(path: str | Path) -> Study:
    """Read a study file, a path or the name of a packaged one.

    Raises:
        InputError: no such file, or one that says what no study can mean; one line that names the key.
    """
    file = find_study(str(path))
    content = dict(read_yaml(file))
    starts = content.get("starts")
    if isinstance(starts, Mapping):  # the one shorthand: `random: random`
        content["starts"] = {name: {} if value == RANDOM else value for name, value in starts.items()}
    study = decode(Study, content, f"{file}:")
    for what, holds in _rules(study):
        if not holds:
            raise InputError(f"{file}: {what}")
    return study


def find_study(name: str) -> Path:
    """The study file ``name``: a path, or one of the packaged studies under its path in a checkout or its bare name.

    Raises:
        InputError: no such file; close names are given.
    """
    if Path(name).is_file():
        return Path(name)
    package = Path(transfer.__file__).parent
    packaged = [
        f for root in (package / "configs", package.parent / "configs") for f in sorted(root.glob("studies/*.yaml"))
    ]
    for file in packaged:
        if name in (f"configs/studies/{file.name}", f"studies/{file.name}", file.name, file.stem):
            return file
    close = difflib.get_close_matches(Path(name).name, [f.name for f in packaged], n=3, cutoff=0.4)
    hint = f"; packaged studies with a similar name: {', '.join(close)}" if close else ""
    raise InputError(f"{name}: expected a study file, found nothing here or among the packaged studies{hint}")


def _rules(study: Study) -> list[tuple[str, bool]]:
    """What must hold between values that are each of the right type: (what is wrong, whether it holds)."""
    data, terms, search = study.data, study.terms, study.terms.search
    given = [n for n, v in (("train", data.train), ("train_voc", data.train_voc), ("digits", data.digits)) if v]
    rules = [
        (f"data: expected one of train, train_voc and digits, found {' and '.join(given)}; leave the others out",
         len(given) < 2),
        ("data: expected val beside train, and both as [IMAGES, ANNOTATIONS], found others; give both",
         (data.train is None) == (data.val is None) and all(len(s or "..") == 2 for s in (data.train, data.val))),
        ("data: expected val_voc beside train_voc, found one alone; give both",
         bool(data.train_voc) == bool(data.val_voc)),
        (f"data.unlabelled: expected a list or the word {TRAIN}, found {data.unlabelled!r}",
         not isinstance(data.unlabelled, str) or data.unlabelled == TRAIN),
        ("starts: expected at least one, found none; add e.g. random: random", bool(study.starts)),
        (f"seeds: expected whole numbers from 0, each once, found {list(study.seeds)}",
         min(study.seeds, default=-1) >= 0 and len(set(study.seeds)) == len(study.seeds)),
        (f"labels: expected each share once and at least one, found {list(study.labels)}",
         bool(study.labels) and len(set(study.labels)) == len(study.labels)),
        (f"baseline: expected one of the starts ({', '.join(study.starts)}), found {study.baseline}; correct it",
         study.baseline is None or study.baseline in study.starts),
        (f"terms.equal: expected {EPOCHS} or {COMPUTE}, found {terms.equal}", terms.equal in (EPOCHS, COMPUTE)),
        (f"terms.seconds: expected more than 0 with equal: {COMPUTE} and none with {EPOCHS}, found {terms.seconds}",
         (terms.seconds is not None and terms.seconds > 0) == (terms.equal == COMPUTE)),
        (f"terms.warmup: expected a share from 0 to 1, found {terms.warmup:g}", 0 <= terms.warmup < 1),
        (f"detector.lr: expected more than 0, found {study.detector.lr}",
         study.detector.lr is None or study.detector.lr > 0),
        (f"detector.lr_scale: expected batch, found {study.detector.lr_scale}",
         study.detector.lr_scale in (None, "batch")),
        (f"detector.schedule_scale: expected more than 0 for each of {', '.join(study.labels)}, found "
         f"{study.detector.schedule_scale}", _scales(study)),
        (f"gpus: expected 1 or more, found {study.gpus} and {study.detector.gpus}",
         min(study.gpus, study.detector.gpus) >= 1),
    ]  # fmt: skip
    if search is not None:
        values = [v for grid in (search.pretrain, search.finetune) for v in grid.values()]
        rules += [
            ("terms.search: expected options with values to try, found none", bool(values) and all(values)),
            ("terms.search: expected share above 0 and up to 1, held_out above 0 and below 1, found "
             f"{search.share:g} and {search.held_out:g}", 0 < search.share <= 1 and 0 < search.held_out < 1),
            ("terms.search: expected data.train in COCO's format, which can be split, found other data",
             data.train is not None or data.digits is not None),
        ]  # fmt: skip
    if study.probes is not None:
        found = ", ".join(study.probes.protocols)
        rules.append(
            (
                f"probes.protocols: expected knn or linear, found {found}",
                {"knn", "linear"} >= set(study.probes.protocols),
            )
        )
    rules += _scaled_rules(study)
    for text in study.labels:
        rules.append(
            (f"labels: expected a share above 0, such as 10%, or a number of images, found {text}", _share(text))
        )
    for name, start in study.starts.items():
        rules += _start_rules(name, start, study)
    return rules


def _scaled_rules(study: Study) -> list[tuple[str, bool]]:
    """What a flag of the schedule sets cannot be set beside it; ``train_net`` would refuse every cell."""
    detector, search = study.detector, study.terms.search
    given = {*detector.options, *(search.finetune if search else ())}
    rules = []
    for flag, set_by, keys in (
        ("lr_scale", detector.lr_scale, ("SOLVER.BASE_LR", "SOLVER.WARMUP_ITERS", *LENGTH)),
        ("schedule_scale", detector.schedule_scale, LENGTH),
        ("lr", detector.lr, ("SOLVER.BASE_LR",)),
    ):
        both = sorted(given & {*keys}) if set_by is not None else []
        rules.append(
            (f"detector.{flag}: expected it to set {', '.join(both)}, found a value as well; leave one out", not both)
        )
    long = sorted(given & {*LENGTH}) if search else []
    rules.append(
        (f"terms.search: expected {', '.join(long)} in the config, for trials are shorter, found an option", not long)
    )
    return rules


def _start_rules(name: str, start: Start, study: Study) -> list[tuple[str, bool]]:
    return [
        (f"starts.{name}: expected pretrain or file, found both; leave one out", not (start.pretrain and start.file)),
        (f"starts.{name}: expected options and init beside pretrain, found them alone; add pretrain: CONFIG",
         bool(start.pretrain) or not (start.options or start.init)),
        (f"starts.{name}.options: expected no run.seed, for the study has its own seeds, found one; leave it out",
         "run.seed" not in start.options),
        (f"starts.{name}: expected convention beside file, found it alone; leave it out",
         bool(start.file) or not start.convention),
        (f"starts.{name}: expected random weights under this name, which reports read so, found others; rename it",
         name != RANDOM or start == Start()),
        (f"starts: expected names of letters, digits, '_', '-', '.' and '+', found {name!r}; rename it",
         bool(name) and all(c.isalnum() or c in "_-.+" for c in name)),
        (f"starts.{name}: expected data.unlabelled to pretrain on, found none; add folders, or the word {TRAIN}",
         not start.pretrain or bool(study.data.unlabelled) or study.data.digits is not None),
    ]  # fmt: skip


def _scales(study: Study) -> bool:
    scale = study.detector.schedule_scale
    if isinstance(scale, dict):
        return set(scale) == set(study.labels) and min(scale.values()) > 0
    return scale is None or scale > 0


def _share(text: str) -> bool:
    try:
        Labels(text)
    except InputError:
        return False
    return True
