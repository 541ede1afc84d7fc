"""What a study is run on, looked at before anything runs: data, detector, pretraining settings, weights, disk."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transfer.register  # noqa: F401  what configs may name
from transfer.checkpoints import checkpoint
from transfer.checkpoints.resnets import SPECS, expected
from transfer.data import coco, splits, voc
from transfer.data.labels import Labels
from transfer.detectors import config as detector_config
from transfer.errors import InputError
from transfer.files.atomic import write_text
from transfer.log_levels import errors_only
from transfer.studies.fingerprints import fingerprint, key_of
from transfer.studies.study_file import TRAIN, Start, Study

GIGABYTE = 1e9
_PER_PARAMETER = 4 * 2  # bytes of float32: the weight and its momentum


@dataclass(frozen=True)
class DataSet:
    """The labelled data, as ``train_net`` takes them.

    Attributes:
        arguments: of its command line; empty for the detector config's DATASETS.
        key: changes with the content.
        train_images: how many there are to be labelled.
        coco: (images, annotations) of train and of val where they are in COCO's format.
    """

    arguments: tuple[str, ...]
    key: str
    train_images: int
    coco: tuple[tuple[str, str], tuple[str, str]] | None = None


@dataclass(frozen=True)
class Inputs:
    """Everything outside the study file that its cells depend on.

    Attributes:
        data: the labelled images.
        unlabelled: of ``python -m pretrain``: what follows ``--data``, and further flags.
        unlabelled_key: changes with those images.
        settings: start -> all settings of its pretraining.
        keys: start -> changes with the weights that it is given; for starts without a pretraining.
        arch: start -> its backbone; of random weights the detector's.
        detector_key: changes with any key of the resolved config.
        probes_key: changes with the images of the probes.
    """

    data: DataSet
    unlabelled: tuple[str, ...]
    unlabelled_key: str
    settings: Mapping[str, Mapping[str, Any]]
    keys: Mapping[str, str]
    arch: Mapping[str, str]
    detector_key: str
    probes_key: str = ""


def look(study: Study, out: Path) -> Inputs:
    """Check a study against what is there; only lists of images are written, below ``out``.

    Raises:
        InputError: data are missing or cannot be used, a config or an option is unknown, a start does not fit the
            detector, or the disk is too full.
    """
    cfg = detector_config_of(study)
    data = _data(study, cfg, out)
    _check_labels(study, data)
    unlabelled, unlabelled_key = _unlabelled(study, data, out)
    settings = resolve({name: (s.pretrain, options(s)) for name, s in study.starts.items() if s.pretrain})
    keys, arch = {}, {}
    for name, start in study.starts.items():
        arch[name] = f"resnet{cfg.MODEL.RESNETS.DEPTH}"
        if start.pretrain:
            arch[name] = settings[name]["backbone"]["arch"]
        elif start.file:
            keys[name] = fingerprint(Path(start.file))
            arch[name] = checkpoint.read(start.file, convention=start.convention).arch
        if SPECS[arch[name]].depth != cfg.MODEL.RESNETS.DEPTH:
            raise InputError(
                f"starts.{name}: expected a ResNet-{cfg.MODEL.RESNETS.DEPTH}, as {study.detector.config} is built of, "
                f"found {arch[name]}; take another detector, or give it MODEL.RESNETS.DEPTH"
            )
        if start.init:
            keys[name] = fingerprint(Path(start.init))
    check_disk(out, disk(study, settings, arch))
    probes = fingerprint(Path(study.probes.data)) if study.probes else ""
    return Inputs(data, unlabelled, unlabelled_key, settings, keys, arch, key_of(cfg.dump()), probes)


def options(start: Start) -> list[str]:
    """A pretraining's options as ``--cfg-options`` takes them."""
    return [f"{key}={value}" for key, value in start.options.items()]


def resolve(configs: Mapping[str, tuple[str, list[str]]]) -> dict[str, dict[str, Any]]:
    """All settings of pretraining configs, by name, from ``pretrain.settings.resolve``.

    Raises:
        InputError: its one line, when a config or an option cannot be used.
    """
    if not configs:
        return {}
    command = [sys.executable, "-m", "pretrain.settings.resolve"]
    done = subprocess.run(command, input=json.dumps(list(configs.values())), capture_output=True, text=True)
    if done.returncode:
        raise InputError((done.stderr.strip().splitlines() or ["pretrain.settings.resolve ended without a word"])[-1])
    return dict(zip(configs, json.loads(done.stdout), strict=True))


def override_words(values: Mapping[str, Any]) -> list[str]:
    """Config keys as the command line gives them: KEY VALUE KEY VALUE ..."""
    return [word for key, value in values.items() for word in (key, str(value))]


def detector_config_of(study: Study) -> Any:
    """The study's detector config, its options applied."""
    cfg = detector_config.read_config(detector_config.find_config(study.detector.config))
    own = ("OUTPUT_DIR", "SEED", "MODEL.WEIGHTS", "DATASETS.TRAIN", "DATASETS.TEST", "MODEL.BACKBONE.FREEZE_AT")
    for key in study.detector.options:
        if key in own:
            raise InputError(f"detector.options: expected keys of the protocol, found {key}; the study sets it")
    detector_config.override(cfg, override_words(study.detector.options))
    return cfg


@errors_only("transfer")  # the runs say in their logs what is left out
def _data(study: Study, cfg: Any, out: Path) -> DataSet:
    data, masks = study.data, cfg.MODEL.MASK_ON
    if data.digits:
        key = key_of("digits", vars(data.digits))
        folder = out / "data" / f"digits_{key}" / "coco"
        part = {p: (str(folder / p), str(folder / f"annotations/instances_{p}.json")) for p in ("train", "val")}
        parts = (part["train"], part["val"])
        return DataSet(_coco_arguments(parts), key, data.digits.train, parts)
    if data.train and data.val:
        parts = ((data.train[0], data.train[1]), (data.val[0], data.val[1]))
        found = [splits.from_files(*part, masks=masks)[0] for part in parts]
        coco.check_same_classes(tuple(found[0].classes), tuple(found[1].classes))
        key = key_of([s.fingerprint for s in found], [fingerprint(Path(s.images)) for s in found])
        return DataSet(_coco_arguments(parts), key, found[0].n_images, parts)
    if data.train_voc and data.val_voc:
        sets = [voc.parse(text) for text in (*data.train_voc, data.val_voc)]
        names = [voc.stems(s, masks=masks) for s in sets]
        key = key_of(names, [fingerprint(s.root / part) for s in sets for part in ("Annotations", "JPEGImages")])
        words = [w for text in data.train_voc for w in ("--train-voc", text)]
        return DataSet((*words, "--val-voc", data.val_voc), key, sum(map(len, names[:-1])))
    train = splits.registered(cfg.DATASETS.TRAIN, masks=masks)
    val = splits.registered(cfg.DATASETS.TEST, masks=masks)
    return DataSet((), key_of(train.fingerprint, val.fingerprint), train.n_images)


def _coco_arguments(parts: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return ("--train", *parts[0], "--val", *parts[1])


def _check_labels(study: Study, data: DataSet) -> None:
    counts: dict[int, str] = {}
    for text in study.labels:
        count = Labels(text).count(data.train_images)
        if count in counts:
            raise InputError(
                f"labels: expected different numbers of images, found {counts[count]} and {text}, both {count} of "
                f"{data.train_images}; leave one out"
            )
        counts[count] = text


def _unlabelled(study: Study, data: DataSet, out: Path) -> tuple[tuple[str, ...], str]:
    if not any(start.pretrain for start in study.starts.values()):
        return (), ""
    given = study.data.unlabelled
    if given == TRAIN:
        return _train_images(study, data, out)
    if not given:  # the study's own digits
        return (str(out / "data" / f"digits_{data.key}" / "unlabeled"),), data.key
    for path in given:
        if not any(mark in path for mark in "{*?[") and not Path(path).exists():
            raise InputError(f"data.unlabelled: expected images at {path}, found nothing; correct the path")
    return tuple(given), key_of([fingerprint(Path(path)) if Path(path).exists() else path for path in given])


def _train_images(study: Study, data: DataSet, out: Path) -> tuple[tuple[str, ...], str]:
    if data.coco is not None:
        images, annotations = data.coco[0]
        return (images, "--annotations", annotations), data.key
    if not study.data.train_voc:
        raise InputError(
            f"data.unlabelled: expected folders or lists where the data are Detectron2's own, found {TRAIN}; name them"
        )
    sets = [voc.parse(text) for text in study.data.train_voc]
    files = [
        str((s.root / "JPEGImages" / f"{stem}.jpg").absolute()) for s in sets for stem in voc.stems(s, masks=False)
    ]
    listed = out / "data" / f"train_{data.key}.txt"
    write_text(listed, "\n".join(files) + "\n")
    return (str(listed),), data.key


def disk(study: Study, settings: Mapping[str, Mapping[str, Any]], arch: Mapping[str, str]) -> float:
    """Bytes that a whole study leaves behind, about: checkpoints of pretrainings, converted and fine-tuned weights."""
    total = 0.0
    for name, start in study.starts.items():
        backbone = sum(map(math.prod, expected(SPECS[arch[name]]).values()))
        kept = settings[name]["run"]["keep"] if start.pretrain else 0
        pretraining = backbone * (2 * _PER_PARAMETER * kept + 4)  # heads weigh about as much as the backbone
        conversion = 0.0 if not (start.pretrain or start.file) else backbone * 4
        finetuning = 2 * backbone * _PER_PARAMETER  # and so do the detector's
        total += len(study.seeds) * (pretraining + conversion + len(study.labels) * finetuning)
    return total


def check_disk(out: Path, needed: float) -> None:
    """Raise InputError when less than ``needed`` bytes are free where ``out`` is or will be.

    What an earlier call has left counts as if it had to be written again.
    """
    place = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    there = sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) if out.is_dir() else 0
    free = shutil.disk_usage(place).free
    if free + there < needed:
        raise InputError(
            f"--out {out}: expected about {needed / GIGABYTE:.1f} GB free for the whole study, found "
            f"{free / GIGABYTE:.1f} GB; make room, or name a folder on another disk"
        )
