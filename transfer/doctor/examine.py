"""Find what would spoil a run before it costs GPU hours."""

from __future__ import annotations

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
            file = detector_config.find_config(str(config))
            detector_config.check_complete(file)
            config = detector_config.read_config(file)
        except InputError as error:
            return [Finding(ERROR, str(error), "config file", "no run starts from it", "correct the file")]
    from transfer.detectors import parts

    metadata = _zoo_metadata(config.MODEL.WEIGHTS) if weights_metadata is None else weights_metadata
    gpus = torch.cuda.device_count() if gpus is None else gpus
    return check(Situation(config, metadata, classes, gpus, stock, parts.registered()))


def check(situation: Situation) -> list[Finding]:
    """Every finding of every rule, errors first."""
    findings = [finding for rule in (*model_rules.RULES, *training_rules.RULES) for finding in rule(situation)]
    return sorted(findings, key=lambda finding: finding.level != ERROR)


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
        examination = examine_weights(path)
    except CheckpointError as error:
        return {}, [Finding(ERROR, str(error), "weights", why, "get or convert the file again")]
    findings = [
        Finding(ERROR, problem, "weights", why, "convert the original again") for problem in examination.problems
    ]
    if not metadata and examination.located.layout.names != "detectron2":
        what = f"expected a converted file, found {examination.located.layout.name}"
        fix = f"python -m transfer convert {path} --to detectron2 --out NEW.pth"
        findings.append(Finding(ERROR, what, "weights", why, fix))
    if not metadata and examination.spec and examination.convention:
        metadata = _as_metadata(examination.spec.name, examination.convention) | {"stem": examination.stem}
    if not metadata:
        what = "expected metadata in the file, found none: colour and normalisation cannot be compared"
        findings.append(
            Finding(WARNING, what, "weights", "a wrong std is not seen", "convert the original with transfer")
        )
    return metadata, findings


def diagnose(
    config: str | Path | None = None,
    weights: str | Path | None = None,
    *,
    classes: int | None = None,
    gpus: int | None = None,
    stock: bool = False,
) -> list[Finding]:
    """Find what would spoil a run before it costs hours: in the environment, the weights and the config.

    Args:
        config: the detector's config, a path or a packaged config's name; None to leave it out.
        weights: the converted file the run will start from; None for the config's MODEL.WEIGHTS.
        classes: classes of the training data, 1 or more. ``finetune`` sets the config's number of classes by the data;
            Detectron2's own script does not, and a config that differs is an error there. None goes by the names of
            the data sets in the config.
        gpus: GPUs the run will have, 0 or more; None for those of this machine.
        stock: the run is started by Detectron2's own script rather than by ``finetune``.

    Returns:
        errors (the run would be wrong) first, then warnings (a choice that costs AP or time when it is not meant).

    Raises:
        InputError: ``classes`` or ``gpus`` out of range, or a config without Detectron2 to read it by.

    Examples:
        >>> import transfer
        >>> findings = transfer.diagnose("voc0712_faster_rcnn_R_50_C4_24k.yaml", gpus=0, stock=True)
        >>> [(finding.level, finding.where) for finding in findings]
        [('error', 'MODEL.RESNETS.NORM')]
    """
    if (classes is not None and classes < 1) or (gpus is not None and gpus < 0):
        raise InputError(f"--classes, --gpus: expected 1 or more, 0 or more, found {classes}, {gpus}; correct them")
    findings = environment.check()
    metadata = None
    if weights is not None:
        metadata, problems = weights_findings(Path(weights))
        findings += problems
    if config is not None:
        if any(finding.where == "detectron2" and finding.level == WARNING for finding in findings):
            raise InputError("no config can be examined: expected detectron2, found no installation; see the README")
        findings += examine(config, metadata, classes=classes, gpus=gpus, stock=stock)
    return sorted(findings, key=lambda finding: finding.level != ERROR)
