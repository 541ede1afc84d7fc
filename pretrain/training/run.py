"""One training from its settings to ``backbone.safetensors``, on this process alone or as one of several."""

from __future__ import annotations

import dataclasses
import errno
import logging
import shutil
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from pretrain.algorithm.compilation import check_compiler
from pretrain.algorithm.pretraining import Pretraining
from pretrain.backbones import save_backbone
from pretrain.data.order import BatchOrder
from pretrain.distributed import ranks
from pretrain.errors import InputError
from pretrain.settings.schema import Settings, as_plain
from pretrain.training import tracking
from pretrain.training.initial import normalised_as, read_initial
from pretrain.training.interrupt import Interrupt
from pretrain.training.online_knn import online_knn
from pretrain.training.online_objects import online_objects
from pretrain.training.plan import BACKBONE, Plan, Start, prepare
from pretrain.training.runner import build_runner
from pretrain.versions import versions

log = logging.getLogger("pretrain")


def run_training(
    settings: Settings,
    plan: Plan,
    init: Path | None = None,
    resume: bool = False,
    allow_change: bool = False,
    hooks: Sequence[Hook] = (),
    track: Sequence[str] = (),
    objects: tuple[Path, Path] | None = None,
) -> Path:
    """Run the whole training; several processes have met before (`pretrain.distributed.ranks.started`).

    Args:
        settings: from `pretrain.settings.schema.load_settings`.
        plan: from `pretrain.training.plan.make_plan`.
        init: weights to start from (`pretrain.training.initial`); they must fit completely, and bring their
            normalisation.
        resume: go on from the newest sound checkpoint in the work folder, or begin where there is none.
        allow_change: resume with other settings, images or versions than the run began with.
        hooks: more to be called during the training.
        track: names of `pretrain.training.tracking.TRACKERS`.
        objects: images and COCO annotations for the looks that ``run.objects_every`` asks for.

    Returns:
        The path of ``backbone.safetensors``.

    Raises:
        InputError: the work folder holds another run, the weights do not fit, ``run.knn_every`` finds no class
            folders, ``run.objects_every`` no objects, too many images are unreadable, the loss is no longer finite, or
            the disk is full.
        Interrupted: a signal came; everything is saved.
        RankLost: another process died.
    """
    check_processes(settings)
    if settings.run.compile:
        check_compiler(torch.device("cuda" if torch.cuda.is_available() else "cpu"))  # one process, as just checked
    initial = None if init is None else ranks.on_all_ranks(lambda: read_initial(init))
    settings = settings if initial is None else normalised_as(settings, initial)
    watch = ranks.on_all_ranks(lambda: online_knn(settings, plan))
    looks = ranks.on_all_ranks(lambda: online_objects(settings, plan, objects))
    cv2.setNumThreads(0)  # the loader's processes are the parallelism
    torch.manual_seed(settings.run.seed)
    meta_start = plan.warmup if settings.meta.start is None else settings.meta.start
    logged = dataclasses.replace(settings, run=dataclasses.replace(settings.run, log_every=plan.log_every))
    model = Pretraining(settings=logged, iterations=plan.iterations, meta_start=meta_start)
    if initial is not None:
        ranks.on_all_ranks(lambda: initial.fill(model.backbone))
    share = slice(ranks.rank(), None, ranks.world_size())
    seed, images = settings.run.seed, plan.source
    order = BatchOrder(len(images), settings.data.batch, plan.iterations, seed, images.shards, share)
    start = ranks.on_rank_zero(lambda: prepare(settings, plan, resume, allow_change))  # the first thing that writes
    ranks.on_all_ranks(lambda: _check_visible(start))
    _announce(settings, plan, order)
    names = track if ranks.rank() == 0 else ()
    with Interrupt() as interrupt, warnings.catch_warnings(), ExitStack() as stack:
        # The optimisers of m and ξ rest until the meta step starts, while the schedules already run.
        warnings.filterwarnings("ignore", "Detected call of `scheduler.step", UserWarning)
        config, going_on = as_plain(settings), start.checkpoint is not None
        opened = tracking.tracked(names, plan.work_dir, config, name=plan.work_dir.name, resume=going_on)
        trackers = ranks.on_all_ranks(lambda: stack.enter_context(opened))
        _run(build_runner(settings, plan, model, order, start, watch, looks, hooks, interrupt, trackers), plan)
    path = plan.work_dir / BACKBONE
    ranks.on_rank_zero(lambda: save_backbone(path, model.backbone, _metadata(settings, plan, order)))
    log.info("wrote %s", path)
    return path


def check_processes(settings: Settings) -> None:
    """Refuse what several processes cannot do.

    Raises:
        InputError: the batch cannot be dealt out evenly, or the exact tangent or a compiled backbone is asked for.
    """
    world = ranks.world_size()
    shares = world * settings.optimizer.accumulate
    if settings.data.batch % shares:
        raise InputError(
            f"data.batch: expected a multiple of the {world} processes times optimizer.accumulate = {shares} (it "
            f"counts the images of all of them), found {settings.data.batch}; use "
            f"{settings.data.batch // shares * shares or shares}"
        )
    if world > 1 and settings.meta.hypergradient == "forward_mode":
        raise InputError(
            f"meta.hypergradient=forward_mode: expected one process, found {world} (a synchronised norm has no forward "
            "mode); use feature_difference"
        )
    if world > 1 and settings.run.compile:
        raise InputError(
            f"run.compile=True: expected one process, found {world} (the synchronised norms talk to the other ranks in "
            "the middle of the graph); use run.compile=False"
        )


def _run(runner: Runner, plan: Plan) -> None:
    """The training itself; a full disk is the user's to mend, whatever was being written."""
    try:
        runner.train()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{plan.work_dir}: expected room to write, found none ({error}); the checkpoints are intact; make room and "
            "go on with --resume"
        ) from error


def _check_visible(start: Start) -> None:
    if start.checkpoint is not None and not start.checkpoint.is_file():
        raise InputError(
            f"--work-dir: expected a folder that all machines share, found no {start.checkpoint} on this one (rank "
            f"{ranks.rank()}); use a shared file system"
        )


def _announce(settings: Settings, plan: Plan, order: BatchOrder) -> None:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    if ranks.world_size() > 1:
        device = f"{ranks.world_size()} processes, each {device}"
    log.info(
        "%s on %s (%s stem), %d images, %d iterations of %d images (%.1f epochs), views of %d px, %s",
        settings.method,
        settings.backbone.arch,
        settings.backbone.stem,
        len(plan.source),
        plan.iterations,
        settings.data.batch,
        plan.iterations / order.batches_per_epoch,
        settings.views.size,
        device,
    )
    if (k := settings.optimizer.accumulate) > 1:
        log.info("each loss sees a micro-batch of %d images, not %d", settings.data.batch // k, settings.data.batch)
    free = shutil.disk_usage(plan.work_dir).free
    if free < 2e9:
        log.warning("only %.1f GB are free in %s", free / 1e9, plan.work_dir)


def _metadata(settings: Settings, plan: Plan, order: BatchOrder) -> dict[str, Any]:
    """The header of ``backbone.safetensors`` (``docs/design.md``, contract 1)."""
    return {
        "arch": settings.backbone.arch,
        "stem": settings.backbone.stem,
        "mean": list(settings.data.mean),
        "std": list(settings.data.std),
        "channel_order": "RGB",
        "method": settings.method,
        "settings": as_plain(settings),
        "epoch": plan.iterations // order.batches_per_epoch,
        "iteration": plan.iterations,
        "seed": settings.run.seed,
        "data": plan.data_record(),
        "versions": versions(),
    }
