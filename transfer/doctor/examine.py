"""Find what would spoil a run before it costs GPU hours."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from transfer.checkpoints.checkpoint import examine as examine_weights
from transfer.checkpoints.checkpoint import read_converted_metadata
from transfer.checkpoints.layouts import IMAGENET, MSRA, Convention
from transfer.checkpoints.metadata import FORMAT, metadata_of
from transfer.doctor import environment, model_rules, training_rules
from transfer.doctor.findings import ERROR, WARNING, Finding, Situation
from transfer.errors import CheckpointError, InputError

__all__ = ["Finding", "examine", "run"]

# Detectron2's own ImageNet files say nothing about themselves; their addresses do.
_ZOO = {"ImageNetPretrained/MSRA/": MSRA, "ImageNetPretrained/torchvision/": IMAGENET}
_ZOO_ARCHS = {"R-50": "resnet50", "R-101": "resnet101", "R-152": "resnet152"}


def examine(
    config: str | Path | Any,
    weights_metadata: Mapping[str, Any] | None = None,
    *,
    classes: int | None = None,
    gpus: int | None = None,
    stock: bool = False,
) -> list[Finding]:
    """Find what would spoil a run of this config.

    Args:
        config: a config file (found as ``train_net`` finds it), or a resolved config.
        weights_metadata: what the weights say (``checkpoint.read_converted_metadata``); None for what the config's
            MODEL.WEIGHTS is known by.
        classes: classes of the training data; None to go by the names of the data sets.
        gpus: GPUs the run will have; None to count this machine's.
        stock: the run is started by Detectron2's own script, which replaces no SyncBN.

    Returns:
        errors first, then warnings; empty when nothing was found.
    """
    if isinstance(config, str | Path):
        from transfer.detectors import config as detector_config

        try:
            config = detector_config.read_config(detector_config.find_config(str(config)))
        except InputError as error:
            return [Finding(ERROR, str(error), "config file", "no run starts from it", "correct the file")]
    from transfer.detectors import parts

    metadata = _zoo_metadata(config.MODEL.WEIGHTS) if weights_metadata is None else weights_metadata
    gpus = torch.cuda.device_count() if gpus is None else gpus
    return check(Situation(config, metadata, classes, gpus, stock, parts.registered()))


def check(situation: Situation) -> list[Finding]:
    """Every finding of every rule, errors first."""
    found = [finding for rule in (*model_rules.RULES, *training_rules.RULES) for finding in rule(situation)]
    return sorted(found, key=lambda finding: finding.level != ERROR)


def _zoo_metadata(address: str) -> dict[str, Any]:
    for part, convention in _ZOO.items():
        if part in address:
            arch = _ZOO_ARCHS.get(Path(address).stem)
            return _as_metadata(arch, convention) | {"method": "supervised"} if arch else {}
    return {}


def _as_metadata(arch: str, fed: Convention) -> dict[str, Any]:
    return {"format": FORMAT, "arch": arch, "stem": "imagenet", **metadata_of(fed)}


def weights_findings(path: Path) -> tuple[dict[str, Any], list[Finding]]:
    """What the weights say about themselves, and whether Detectron2 would load them completely."""
    why = "Detectron2 only warns about what it cannot match and trains on from random weights"
    try:
        metadata = read_converted_metadata(path)
        seen = examine_weights(path)
    except CheckpointError as error:
        return {}, [Finding(ERROR, str(error), "weights", why, "get or convert the file again")]
    found = [Finding(ERROR, problem, "weights", why, "convert the original again") for problem in seen.problems]
    if not metadata and seen.located.layout.names != "detectron2":
        what = f"expected a converted file, found {seen.located.layout.name}"
        fix = f"python -m transfer convert {path} --to detectron2 --out NEW.pth"
        found.append(Finding(ERROR, what, "weights", why, fix))
    if not metadata and seen.spec and seen.convention:
        metadata = _as_metadata(seen.spec.name, seen.convention) | {"stem": seen.stem}
    if not metadata:
        what = "expected metadata in the file, found none: colour and normalisation cannot be compared"
        found.append(Finding(WARNING, what, "weights", "a wrong std is not seen", "convert the original with transfer"))
    return metadata, found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``python -m transfer doctor``."""
    parser.add_argument("--config-file", metavar="YAML", help="the config to examine (default: the environment only)")
    parser.add_argument("--weights", type=Path, help="the converted file it will start from (default: MODEL.WEIGHTS)")
    parser.add_argument("--classes", type=int, help="classes of the training data (default: by the data set's name)")
    parser.add_argument("--gpus", type=int, help="GPUs the run will have (default: those of this machine)")
    parser.add_argument(
        "--stock",
        action="store_true",
        help="the run is started by Detectron2's own script (default: transfer.train_net)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 when one of them is an error."""
    found = environment.check()
    metadata = None
    if args.weights:
        metadata, more = weights_findings(args.weights)
        found += more
    if args.config_file and not _no_detectron2(found):
        found += examine(args.config_file, metadata, classes=args.classes, gpus=args.gpus, stock=args.stock)
    for finding in sorted(found, key=lambda finding: finding.level != ERROR):
        print(finding)
    errors = sum(finding.level == ERROR for finding in found)
    print(f"{errors} errors, {len(found) - errors} warnings")
    return 1 if errors else 0


def _no_detectron2(found: list[Finding]) -> bool:
    missing = [f for f in found if f.where == "detectron2" and f.level == WARNING]
    if missing:
        raise InputError("no config can be examined: expected detectron2, found no installation; see the README")
    return False
