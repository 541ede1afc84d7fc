"""What a fine-tuning run will do: request, config, weights and data resolved and checked, nothing written."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

import transfer.register  # noqa: F401  what configs may name
from transfer.data import labels
from transfer.data.labels import Labels
from transfer.detectors import config as detector_config
from transfer.detectors import ranges
from transfer.detectors.loaded import Loaded
from transfer.doctor import examine, findings
from transfer.errors import InputError
from transfer.files import places
from transfer.finetuning import lr_range_test, outcome, run_data, schedule, tracking, weights
from transfer.finetuning.request import Request
from transfer.records.record import Split
from transfer.records.record_file import FILE_NAME

log = logging.getLogger(__name__)

# A folder with one of these holds a run.
RUN_FILES = ("config.yaml", "last_checkpoint", "metrics.json", FILE_NAME)
# May differ when a run is resumed: where it runs, not what it computes.
MACHINE_KEYS = ("OUTPUT_DIR", "MODEL.DEVICE", "DATALOADER.NUM_WORKERS", "VIS_PERIOD")


@dataclass(frozen=True)
class Plan:
    """A checked run; plain enough to be sent to other processes.

    Attributes:
        cfg: the resolved config.
        config_file: the file it came from, as the user gave it.
        name: what the user calls the run.
        data: what is trained on and measured on.
        start: the weights, None for random ones.
        count: what the model takes from ``start``.
        resume: continue from the last checkpoint in OUTPUT_DIR when there is one.
        eval_only: measure, do not train.
        labels: the part of the training images whose labels are used; None for all.
        lr_auto: find the learning rate by a range test first.
        channels_last: keep the model's tensors in that memory format.
        track: names of `transfer.finetuning.tracking.TRACKERS`.
    """

    cfg: CfgNode
    config_file: str
    name: str
    data: run_data.RunData
    start: weights.InitialWeights | None
    count: Loaded | None
    resume: bool
    eval_only: bool
    labels: Labels | None = None
    lr_auto: bool = False
    channels_last: bool = False
    track: tuple[str, ...] = ()

    @property
    def train(self) -> Split | None:
        """The training data; None only when a run is evaluated without it."""
        return self.data.train

    @property
    def val(self) -> Split:
        """The data that is measured on."""
        return self.data.val


def prepare(request: Request) -> Plan:
    """Resolve and check everything that can be wrong before the first iteration.

    Args:
        request: what is asked for.

    Raises:
        InputError: anything the user can put right; nothing has been written then.
    """
    tracking.check(request.track)
    path = detector_config.find_config(request.config_file)
    detector_config.check_complete(path)
    cfg = detector_config.read_config(path)
    wanted = cfg.clone()
    detector_config.override(
        wanted, request.opts
    )  # without data and weights yet: mistyped keys are named before anything slow
    ranges.check(wanted)
    overridden = {key: detector_config.lookup(wanted, key) for key in request.opts[::2]}
    folder = Path(wanted.OUTPUT_DIR)
    _check_given_once(request, overridden)
    _check_folder(folder, request)
    start = _start(request, wanted, folder)
    made = folder / outcome.EVALUATION if request.eval_only else folder
    data = run_data.resolve(request, cfg, wanted, overridden, made)
    batch = cfg.SOLVER.IMS_PER_BATCH
    if start is not None:
        weights.check_agreement(wanted, start, overridden)
        for line in detector_config.changed(cfg, start.overlay):
            log.info("the weights need %s", line)
    detector_config.override(cfg, request.opts)
    data.name(cfg)
    cfg.MODEL.WEIGHTS = "" if start is None else str(start.path) if "://" not in start.file else start.file
    _flags(cfg, request, folder)
    _schedule(cfg, request, batch, overridden)
    part = _labels(request, data.train)
    for line in detector_config.fit_machine(cfg, request.num_gpus * request.num_machines):
        log.info("this machine needs %s", line)
    _examine(cfg, start, len(data.val.classes), request)
    lr_auto = request.lr == "auto" and not _take_saved_lr(cfg, request, folder)
    if request.resume:
        _check_same_run(cfg, folder, part)
    count = None
    if start is not None:
        count = weights.count_taken(cfg, start)
        weights.check_complete(count, start, request.allow_partial, heads=not request.eval_only)
    outcome.check(cfg, data.val)
    data = data.with_leaks(start.metadata.get("data") if start is not None else None)
    ranges.check(cfg)  # --schedule-scale and --lr-scale have changed some
    cfg.freeze()
    return Plan(
        cfg=cfg,
        config_file=request.config_file,
        name=request.name or folder.name,
        data=data,
        start=start,
        count=count,
        resume=request.resume,
        eval_only=request.eval_only,
        labels=part,
        lr_auto=lr_auto and not request.eval_only,
        channels_last=request.channels_last,
        track=request.track,
    )


def _examine(cfg: CfgNode, start: weights.InitialWeights | None, classes: int, request: Request) -> None:
    """Let the doctor look: its warnings are logged, its first error stops the run."""
    if request.eval_only:
        return
    metadata = {} if start is None else start.metadata
    for finding in examine.examine(cfg, metadata, classes=classes, gpus=request.num_gpus * request.num_machines):
        if finding.level == findings.ERROR:
            raise InputError(f"{finding.where}: {finding.what}; {finding.fix}")
        log.warning("doctor: %s: %s; %s", finding.where, finding.what, finding.fix)


def _check_folder(folder: Path, request: Request) -> None:
    """Refuse a folder that cannot be written, or holds another run."""
    places.check_folder(folder)
    if request.resume or request.eval_only or request.machine_rank:
        return  # the first machine decides; the others may see its first files in a shared folder
    held = [name for name in RUN_FILES if (folder / name).exists()]
    if held:
        raise InputError(
            f"OUTPUT_DIR {folder}: expected a new folder, found another run ({', '.join(held)}); "
            "name another folder, or continue that run with --resume"
        )


# flag -> the config key that it stands for
_STANDS_FOR = {
    "init": "MODEL.WEIGHTS",
    "init_detector": "MODEL.WEIGHTS",
    "train": "DATASETS.TRAIN",
    "train_voc": "DATASETS.TRAIN",
    "val": "DATASETS.TEST",
    "val_voc": "DATASETS.TEST",
    "seed": "SEED",
    "freeze_backbone": "MODEL.BACKBONE.FREEZE_AT",
    "lr": "SOLVER.BASE_LR",
    "amp": "SOLVER.AMP.ENABLED",
    "precise_bn": "TEST.PRECISE_BN.ENABLED",
}


def _check_given_once(request: Request, overridden: dict[str, Any]) -> None:
    for flag, key in _STANDS_FOR.items():
        value = getattr(request, flag)
        if value is not None and value is not False and value != () and key in overridden:
            raise InputError(f"expected either --{flag.replace('_', '-')} or {key}, found both; leave one out")
    if request.train and not request.val:
        raise InputError("--train: expected --val as well (a run ends by measuring), found none; add --val IMAGES ANN")
    if request.train_voc and not request.val_voc:
        raise InputError("--train-voc: expected --val-voc as well, found none; add --val-voc ROOT:test")
    if request.val_voc and not request.train_voc and not request.eval_only:
        raise InputError("--val-voc: expected --train-voc as well, found none; add --train-voc ROOT:trainval")
    if (request.train or request.val) and (request.train_voc or request.val_voc):
        raise InputError("expected either --train and --val or --train-voc and --val-voc, found both; leave one out")
    if request.lr is not None and request.lr_scale and request.lr != "auto":
        raise InputError("--lr-scale batch: expected it to set the learning rate, found --lr as well; leave one out")
    if request.num_machines > 1 and request.seed is None:
        raise InputError("--num-machines: expected --seed, which all machines have to share, found none; add it")


def _start(request: Request, wanted: CfgNode, folder: Path) -> weights.InitialWeights | None:
    """Return the weights that --init, --init-detector, MODEL.WEIGHTS or, to evaluate, the run in ``folder`` names."""
    if request.init_detector is not None:
        return weights.read_detector(request.init_detector, wanted, request.convention)
    if request.init == "random":
        return None
    file = request.init or wanted.MODEL.WEIGHTS
    if request.eval_only and not request.init and "MODEL.WEIGHTS" not in request.opts[::2]:
        last = folder / "last_checkpoint"
        if last.is_file():
            file = str(folder / last.read_text().strip())
    if request.eval_only and not file:
        raise InputError(f"--eval-only: expected weights, found none in OUTPUT_DIR {folder}; give --init FILE")
    return weights.read(file, wanted) if file else None


def _flags(cfg: CfgNode, request: Request, folder: Path) -> None:
    """Put --freeze-backbone and the seed into the config; a run without one gets one, so that it can be repeated."""
    if request.freeze_backbone:
        detector_config.changed(
            cfg, {"MODEL.BACKBONE.FREEZE_AT": 5}
        )  # stem, res2, res3, res4, res5 (Detectron2's count)
    if request.amp:
        detector_config.changed(cfg, {"SOLVER.AMP.ENABLED": True})
    if request.precise_bn is not None:
        detector_config.changed(cfg, {"TEST.PRECISE_BN.ENABLED": request.precise_bn})
    if request.seed is not None:
        cfg.SEED = request.seed
    elif cfg.SEED < 0 and request.resume and (folder / "config.yaml").is_file():
        cfg.SEED = detector_config.read_config(folder / "config.yaml").SEED
    elif cfg.SEED < 0:
        cfg.SEED = secrets.randbelow(2**31 - 2**20)
        log.info("no --seed given: this run's is %d", cfg.SEED)


def _schedule(cfg: CfgNode, request: Request, batch: int, overridden: dict[str, Any]) -> None:
    """Apply --lr, --backbone-lr-factor, --lr-scale and --schedule-scale; ``batch`` is the config file's own."""
    lines = []
    if request.backbone_lr_factor is not None:
        detector_config.set_backbone_lr_factor(cfg, request.backbone_lr_factor)
    if request.lr not in (None, "auto"):
        detector_config.changed(cfg, {"SOLVER.BASE_LR": request.lr})
    if request.lr_scale:
        lines += schedule.scale_with_batch(cfg, batch, overridden)
    if request.schedule_scale:
        lines += schedule.shorten(cfg, request.schedule_scale, overridden)
    for line in lines:
        log.info(line)


def _labels(request: Request, train: Split | None) -> Labels | None:
    """Return the part of the labels that --labels asks for."""
    if request.labels is None:
        return None
    part = Labels(request.labels, request.labels_seed)
    if train is not None:
        part.count(train.n_images)
    return part


def _take_saved_lr(cfg: CfgNode, request: Request, folder: Path) -> bool:
    """Take the learning rate that the run to be resumed has found; whether there is one."""
    if not request.resume or not (folder / lr_range_test.FILE_NAME).is_file() or not (folder / "config.yaml").is_file():
        return False
    cfg.SOLVER.BASE_LR = detector_config.read_config(folder / "config.yaml").SOLVER.BASE_LR
    return True


def _check_same_run(cfg: CfgNode, folder: Path, part: Labels | None) -> None:
    """Refuse to resume a run under another config, or on other labels."""
    saved = folder / "config.yaml"
    if not saved.is_file():
        log.info("nothing to resume in %s: starting from the beginning", folder)
        return
    differing = [
        line
        for line in detector_config.differences(detector_config.read_config(saved), cfg)
        if not line.startswith(MACHINE_KEYS)
    ]
    if differing:
        raise InputError(
            f"--resume: expected the config that {folder} was started with, found another: {'; '.join(differing[:5])}; "
            "give the same arguments, or start a new folder"
        )
    labels.check_same(folder, part)
