"""The images of a study, looked at before anything runs: what is trained on, measured on and pretrained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.data import coco, splits, voc
from transfer.data.labels import Labels
from transfer.demo import digits
from transfer.errors import InputError
from transfer.files.atomic import write_text
from transfer.log_levels import errors_only
from transfer.studies.fingerprints import fingerprint, key_of
from transfer.studies.schema import TRAIN, Digits, Study


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


@errors_only("transfer")  # the runs say in their logs what is left out
def labelled(study: Study, cfg: Any, out: Path) -> DataSet:
    """The images that detectors are trained and measured on.

    Raises:
        InputError: they are missing, or cannot be used.
    """
    data, masks = study.data, cfg.MODEL.MASK_ON
    if data.digits:
        _check_digits(data.digits)
        key = key_of("digits", vars(data.digits))
        folder = out / "data" / f"digits_{key}" / "coco"
        part = {p: (str(folder / p), str(folder / f"annotations/instances_{p}.json")) for p in ("train", "val")}
        parts = (part["train"], part["val"])
        return DataSet(_coco_arguments(parts), key, data.digits.train, parts)
    if data.train and data.val:
        parts = ((data.train[0], data.train[1]), (data.val[0], data.val[1]))
        both = [splits.from_files(*part, masks=masks)[0] for part in parts]
        coco.check_same_classes(tuple(both[0].classes), tuple(both[1].classes))
        key = key_of([s.fingerprint for s in both], [fingerprint(Path(s.images)) for s in both])
        return DataSet(_coco_arguments(parts), key, both[0].n_images, parts)
    if data.train_voc and data.val_voc:
        sets = [voc.parse(text) for text in (*data.train_voc, data.val_voc)]
        names = [voc.stems(s, masks=masks) for s in sets]
        key = key_of(names, [fingerprint(s.root / part) for s in sets for part in ("Annotations", "JPEGImages")])
        words = [w for text in data.train_voc for w in ("--train-voc", text)]
        return DataSet((*words, "--val-voc", data.val_voc), key, sum(map(len, names[:-1])))
    train = splits.registered(cfg.DATASETS.TRAIN, masks=masks)
    val = splits.registered(cfg.DATASETS.TEST, masks=masks)
    return DataSet((), key_of(train.fingerprint, val.fingerprint), train.n_images)


def _check_digits(settings: Digits) -> None:
    try:
        digits.Settings(**vars(settings)).check()
    except InputError as error:
        raise InputError(f"data.digits: {error}") from None


def _coco_arguments(parts: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return ("--train", *parts[0], "--val", *parts[1])


def check_labels(study: Study, data: DataSet) -> None:
    """Raise InputError unless each share of the labels is another number of images."""
    counts: dict[int, str] = {}
    for text in study.labels:
        count = Labels(text).count(data.train_images)
        if count in counts:
            raise InputError(
                f"labels: expected different numbers of images, found {counts[count]} and {text}, both {count} of "
                f"{data.train_images}; leave one out"
            )
        counts[count] = text


def unlabelled(study: Study, data: DataSet, out: Path) -> tuple[tuple[str, ...], str]:
    """What follows ``python -m pretrain --data``, and a key that changes with those images; nothing without a need.

    Raises:
        InputError: there are none.
    """
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
        if Path(path).is_dir() and not any(file.is_file() for file in Path(path).rglob("*")):
            raise InputError(f"data.unlabelled: expected images in {path}, found an empty folder; correct the path")
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
