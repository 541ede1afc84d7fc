"""What a study is run on, looked at before anything runs: data, detector, starts, disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transfer.register  # noqa: F401  what configs may name
from transfer.detectors import config as detector_config
from transfer.detectors import ranges
from transfer.errors import InputError
from transfer.files import places
from transfer.finetuning import logs, plan
from transfer.finetuning.request import Request
from transfer.log_levels import errors_only
from transfer.studies import data_sets, disk, starts
from transfer.studies.data_sets import DataSet
from transfer.studies.fingerprints import fingerprint, key_of
from transfer.studies.schema import ALL, Study


@dataclass(frozen=True)
class Inputs:
    """Everything outside the study file that its cells depend on.

    Attributes:
        data: the labelled images.
        unlabelled: of ``python -m pretrain``: what follows ``--data``, and further flags.
        unlabelled_key: changes with those images.
        settings: start -> all settings of its pretraining.
        keys: start -> changes with the files that it is given: ``file``, ``detector`` or ``init``.
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
    data = data_sets.labelled(study, cfg, out)
    data_sets.check_labels(study, data)
    unlabelled, unlabelled_key = data_sets.unlabelled(study, data, out)
    settings = starts.all_settings(study)
    facts = {name: starts.look(name, start, study, cfg, settings.get(name)) for name, start in study.starts.items()}
    arch = {name: one.arch for name, one in facts.items()}
    keys = {name: one.key for name, one in facts.items() if one.key is not None}
    disk.check_disk(out, disk.needed(study, settings, arch))
    probes = _probes_key(study)
    return Inputs(data, unlabelled, unlabelled_key, settings, keys, arch, key_of(cfg.dump()), probes)


def _probes_key(study: Study) -> str:
    if study.probes is None:
        return ""
    place = Path(study.probes.data)
    if not place.exists() or (place.is_dir() and not any(file.is_file() for file in place.rglob("*"))):
        found = "an empty folder" if place.exists() else "nothing"
        raise InputError(
            f"probes.data: expected class folders or an archive at {place}, found {found}; correct the path"
        )
    return fingerprint(place)


def override_words(values: Mapping[str, Any]) -> list[str]:
    """Config keys as the command line gives them: KEY VALUE KEY VALUE ..."""
    return [word for key, value in values.items() for word in (key, str(value))]


def detector_config_of(study: Study) -> Any:
    """The study's detector config, its options applied; every value that is searched has been tried as well.

    Raises:
        InputError: no such config, one that cannot be run, or an option that cannot be.
    """
    file = detector_config.find_config(study.detector.config)
    detector_config.check_complete(file)
    cfg = detector_config.read_config(file)
    own = ("OUTPUT_DIR", "SEED", "MODEL.WEIGHTS", "DATASETS.TRAIN", "DATASETS.TEST", "MODEL.BACKBONE.FREEZE_AT")
    grid = study.terms.search.finetune if study.terms.search else {}
    for key in (*study.detector.options, *grid):
        if key in own:
            raise InputError(f"detector.options: expected keys of the protocol, found {key}; the study sets it")
    detector_config.override(cfg, override_words(study.detector.options))
    ranges.check(cfg)
    for key, values in grid.items():
        for value in values:
            tried = cfg.clone()
            detector_config.override(tried, override_words({key: value}))
            ranges.check(tried)
    return cfg


@errors_only("transfer")  # the runs say in their logs what is left out
def check_fine_tuning(study: Study, inputs: Inputs, out: Path) -> None:
    """See that ``train_net`` itself would begin: from random weights, with the first share of the labels.

    What it refuses (data, schedule, schema of the config, a folder that cannot be written) it refuses of every cell.
    Data that the study composes are not there yet, and are not looked at.

    Raises:
        InputError: its one line.
    """
    if study.data.digits is not None and not Path(inputs.data.arguments[1]).exists():
        places.check_folder(out)
        return
    detector, files, labels = study.detector, inputs.data.coco, study.labels[0]
    scale = detector.schedule_scale
    request = Request(
        config_file=detector.config,
        init="random",
        train=files[0] if files else None,
        val=files[1] if files else None,
        train_voc=study.data.train_voc,
        val_voc=study.data.val_voc,
        opts=("OUTPUT_DIR", str(out / "finetune" / "first"), *override_words(detector.options)),
        labels=None if labels == ALL else labels,
        labels_seed=study.labels_seed,
        freeze_backbone=detector.freeze_backbone,
        lr=detector.lr,
        lr_scale=detector.lr_scale,
        backbone_lr_factor=detector.backbone_lr_factor,
        schedule_scale=scale[labels] if isinstance(scale, dict) else scale,
        amp=detector.amp,
        channels_last=detector.channels_last,
        seed=study.seeds[0],
    )
    with logs.quiet():
        plan.prepare(request)
