"""The starts of a study, looked at before anything runs: settings of pretrainings, weights, and whether they fit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer.checkpoints import checkpoint
from transfer.checkpoints.resnets import SPECS
from transfer.detectors import config as detector_config
from transfer.detectors.overlay import needed_in
from transfer.errors import InputError
from transfer.finetuning import weights
from transfer.studies.fingerprints import fingerprint, key_of
from transfer.studies.schema import Start, Study

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class StartFacts:
    """What is known of a start beforehand.

    Attributes:
        arch: its backbone; of random weights the detector's.
        key: changes with the files that it is given: ``file``, ``detector`` or ``init``; null without one.
    """

    arch: str
    key: str | None = None


def look(name: str, start: Start, study: Study, cfg: Any, settings: Settings | None) -> StartFacts:
    """Read the files of a start, and see that the study's detector can be built of it.

    Args:
        name: the start's.
        start: what the study says of it.
        study: the study.
        cfg: the detector's config, with the study's options.
        settings: of its pretraining; None without one.

    Raises:
        InputError: a file is missing, cannot be used, or does not fit the detector.
    """
    try:
        if start.detector:
            return _detector(Path(start.detector), start, study, cfg)
        if start.file:
            source = checkpoint.read(start.file, convention=start.convention)
            _check_fit(start.file, source.metadata, study, cfg)
            return StartFacts(source.arch, fingerprint(Path(start.file)))
        if settings is not None:
            arch: str = settings["backbone"]["arch"]
            fed = {"arch": arch, "stem": settings["backbone"]["stem"], "channel_order": "RGB"}
            fed |= {"mean": settings["data"]["mean"], "std": settings["data"]["std"]}
            _check_fit(start.pretrain or "", fed, study, cfg)
            return StartFacts(arch, _init_key(start.init, arch))
    except InputError as error:
        raise InputError(f"starts.{name}: {error}") from None
    return StartFacts(f"resnet{cfg.MODEL.RESNETS.DEPTH}")


def _check_fit(file: str, metadata: Settings, study: Study, cfg: Any) -> None:
    """Raise InputError where the detector has another backbone, or an option contradicts how it was fed."""
    arch = metadata["arch"]
    if SPECS[arch].depth != cfg.MODEL.RESNETS.DEPTH:
        raise InputError(
            f"expected a ResNet-{cfg.MODEL.RESNETS.DEPTH}, as {study.detector.config} is built of, found {arch}; take "
            "another detector, or give it MODEL.RESNETS.DEPTH"
        )
    initial = weights.InitialWeights(file, Path(file), "", dict(metadata), needed_in(metadata, cfg))
    weights.check_agreement(cfg, initial, _overridden(study, cfg))


def _overridden(study: Study, cfg: Any) -> dict[str, Any]:
    return {key: detector_config.lookup(cfg, key) for key in study.detector.options}


def _init_key(init: str | None, arch: str) -> str | None:
    """What changes with the weights that a pretraining starts from."""
    if init is None:
        return None
    found = checkpoint.read(init).arch
    if found != arch:
        raise InputError(f"init: expected weights of {arch}, as the pretraining's backbone is, found {found}")
    return fingerprint(Path(init))


def _detector(file: Path, start: Start, study: Study, cfg: Any) -> StartFacts:
    """Count, in a model of the study's detector, what it would take from the start's; its config belongs to its key."""
    cfg = cfg.clone()
    initial = weights.read_detector(str(file), cfg, start.convention)
    weights.check_agreement(cfg, initial, _overridden(study, cfg))
    detector_config.changed(cfg, initial.overlay)
    detector_config.fit_machine(cfg, 1)
    weights.check_complete(weights.count_taken(cfg, initial), initial, start.allow_partial)
    config = file.parent / "config.yaml"
    key = key_of(fingerprint(file), fingerprint(config) if config.is_file() else None)
    return StartFacts(f"resnet{cfg.MODEL.RESNETS.DEPTH}", key)


def options(start: Start) -> list[str]:
    """A pretraining's options as ``--cfg-options`` takes them."""
    return [f"{key}={value}" for key, value in start.options.items()]


def all_settings(study: Study) -> dict[str, dict[str, Any]]:
    """Start -> all settings of its pretraining; every value that is searched has been tried as well.

    Raises:
        InputError: a config, an option or a value to be searched cannot be used.
    """
    configs: dict[str, tuple[str, list[str]]] = {}
    grid = study.terms.search.pretrain if study.terms.search else {}
    tried = {}
    for name, start in study.starts.items():
        if start.pretrain:
            configs[name] = (start.pretrain, options(start))
            for key, values in grid.items():
                for value in values:
                    tried[f"{name} {key}={value}"] = (start.pretrain, [*options(start), f"{key}={value}"])
    settings = resolve(configs | tried)
    return {name: settings[name] for name in configs}


def resolve(configs: Mapping[str, tuple[str, Sequence[str]]]) -> dict[str, dict[str, Any]]:
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
