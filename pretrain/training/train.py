"""Put a training together from settings, run it on MMEngine's Runner, and leave ``backbone.safetensors``."""

from __future__ import annotations

import errno
import logging
import platform
import secrets
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import mmengine
import torch
import torchvision
from mmengine.hooks import Hook
from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import Runner
from mmengine.visualization import TensorboardVisBackend, Visualizer
from torch.utils.data import DataLoader

from pretrain import __version__
from pretrain.algorithm.compilation import check_compiler
from pretrain.algorithm.pretraining import Pretraining
from pretrain.backbones import feature_width, save_backbone
from pretrain.data.order import BatchOrder
from pretrain.data.two_views import TwoViews, collate
from pretrain.distributed import ranks
from pretrain.errors import InputError
from pretrain.probes.features import Input
from pretrain.reporting.metrics_file import NAME, MetricsFile
from pretrain.reporting.records import records
from pretrain.settings.schema import Settings, as_plain
from pretrain.training.checkpoints import Checkpoints
from pretrain.training.hooks import Guard, Progress, UnreadableImages
from pretrain.training.initial import normalised_as, read_initial
from pretrain.training.interrupt import Interrupt, ignore_signals
from pretrain.training.loop import ResumableLoop
from pretrain.training.online_knn import OnlineKnn, class_folder
from pretrain.training.optimizers import build_optimizers
from pretrain.training.plan import Plan, Start, prepare
from pretrain.training.term_shares import TermShares

PREFETCHED = 4  # batches that each loader process works ahead

log = logging.getLogger("pretrain")


def train(
    settings: Settings,
    plan: Plan,
    init: Path | None = None,
    resume: bool = False,
    allow_change: bool = False,
    hooks: Sequence[Hook] = (),
) -> Path:
    """Run the whole training, on this process alone or as one of several (`pretrain.distributed.ranks.started`).

    Args:
        settings: from `pretrain.settings.schema.load_settings`.
        plan: from `pretrain.training.plan.make_plan`.
        init: weights to start from (`pretrain.training.initial`); they must fit completely, and bring their
            normalisation.
        resume: go on from the newest sound checkpoint in the work folder, or begin where there is none.
        allow_change: resume with other settings, images or versions than the run began with.
        hooks: more to be called during the training.

    Returns:
        The path of ``backbone.safetensors``.

    Raises:
        InputError: the work folder holds another run, the weights do not fit, ``run.knn_every`` finds no class
            folders, too many images are unreadable, the loss is no longer finite, or the disk is full.
        Interrupted: a signal came; everything is saved.
        RankLost: another process died.
    """
    check_processes(settings)
    if settings.run.compile:
        check_compiler(torch.device("cuda" if torch.cuda.is_available() else "cpu"))  # one process, as just checked
    initial = None if init is None else ranks.together(lambda: read_initial(init))
    settings = settings if initial is None else normalised_as(settings, initial)
    watch = ranks.together(lambda: _online_knn(settings, plan))
    cv2.setNumThreads(0)  # the loader's processes are the parallelism
    torch.manual_seed(settings.run.seed)
    meta_start = plan.warmup if settings.meta.start is None else settings.meta.start
    model = Pretraining(settings=settings, iterations=plan.iterations, meta_start=meta_start)
    if initial is not None:
        ranks.together(lambda: initial.fill(model.backbone))
    share = slice(ranks.rank(), None, ranks.world_size())
    seed, images = settings.run.seed, plan.source
    order = BatchOrder(len(images), settings.data.batch, plan.iterations, seed, images.shards, share)
    start = ranks.from_first(lambda: prepare(settings, plan, resume, allow_change))  # the first thing that writes
    ranks.together(lambda: _check_visible(start))
    _announce(settings, plan, order)
    with Interrupt() as interrupt, warnings.catch_warnings():
        # The optimisers of m and ξ rest until the meta step starts, while the schedules already run.
        warnings.filterwarnings("ignore", "Detected call of `scheduler.step", UserWarning)
        _run(_build_runner(settings, plan, model, order, start, watch, hooks, interrupt), plan)
    path = plan.work_dir / "backbone.safetensors"
    if ranks.rank() == 0:
        save_backbone(path, model.backbone, _metadata(settings, plan, order))
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


def _build_runner(
    settings: Settings,
    plan: Plan,
    model: Pretraining,
    order: BatchOrder,
    start: Start,
    watch: Sequence[OnlineKnn],
    hooks: Sequence[Hook],
    interrupt: Interrupt,
) -> Runner:
    unreadable = UnreadableImages(len(plan.source), settings.data.max_unreadable)
    width = feature_width(settings.backbone.arch)
    run = settings.run
    guard = Guard(unreadable, width, plan.work_dir)
    checkpoints = Checkpoints(
        every=run.checkpoint_every,
        keep=run.keep,
        folder=plan.checkpoints,
        interrupt=interrupt,
        knn=watch[0] if watch else None,
        looks_every=run.knn_every * order.batches_per_epoch,
        retuned=start.changed,
    )
    progress = Progress(run.log_every, settings.data.batch, order.batches_per_epoch, MetricsFile(plan.work_dir / NAME))
    # MMEngine's own logger and checkpoint hooks give way to ours; its timer and scheduler hooks stay.
    off = dict.fromkeys(("logger", "checkpoint", "sampler_seed"))
    data = f"{plan.source.described} ({len(plan.source)})"
    epochs = plan.iterations / order.batches_per_epoch
    kept = records(settings, plan.work_dir, data, epochs, model.meta_start) if ranks.rank() == 0 else []
    return Runner(
        model=model,
        work_dir=str(plan.work_dir),
        train_dataloader=build_loader(settings, plan, order),
        train_cfg={"type": ResumableLoop, "max_iters": plan.iterations},
        optim_wrapper=build_optimizers(model),
        param_scheduler=_schedule(plan),
        default_hooks=off,
        custom_hooks=[progress, guard, TermShares(), checkpoints, *watch, *hooks, *kept],
        visualizer={
            "type": Visualizer,
            "vis_backends": [{"type": TensorboardVisBackend}] if ranks.rank() == 0 else None,
            "save_dir": str(plan.work_dir / "tensorboard"),
        },
        load_from=None if start.checkpoint is None else str(start.checkpoint),
        resume=start.checkpoint is not None,
        randomness={"seed": run.seed},
        log_level="ERROR",  # its warnings are about its own internals
        # MMEngine keeps process-wide objects under this name and the second: two runs must never share them.
        experiment_name=f"{plan.work_dir.name}_{secrets.token_hex(4)}",
    )


def _online_knn(settings: Settings, plan: Plan) -> list[OnlineKnn]:
    """The nearest neighbours' hook where the settings ask for it, on rank 0."""
    run, size = settings.run, settings.views.size
    if not run.knn_every or ranks.rank() > 0:
        return []
    root, paths = class_folder(plan.source)
    per_epoch = BatchOrder(len(plan.source), settings.data.batch, 0, 0).batches_per_epoch
    hook = OnlineKnn(
        every=run.knn_every * per_epoch,
        root=root,
        paths=paths,
        how=Input(size, size, settings.data.mean, settings.data.std),
        seed=run.seed,
        batch=settings.data.batch,
        workers=settings.data.workers,
        out=MetricsFile(plan.work_dir / NAME),
    )
    return [hook]


def build_loader(settings: Settings, plan: Plan, order: BatchOrder) -> DataLoader[Any]:
    """Batches of `pretrain.data.two_views.collate`, made by ``data.workers`` processes of one thread each."""
    workers = settings.data.workers
    return DataLoader(
        TwoViews(plan.source, settings.views, settings.run.seed),
        batch_sampler=order,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=PREFETCHED if workers else None,
        worker_init_fn=_single_thread,
    )


def _single_thread(worker: int) -> None:
    cv2.setNumThreads(0)
    ignore_signals()


def _schedule(plan: Plan) -> list[dict[str, Any]]:
    """Linear warm-up, then a cosine to zero; for the optimisers of w, m and ξ alike."""
    cosine = {
        "type": CosineAnnealingLR,
        "T_max": plan.iterations - plan.warmup,
        "eta_min": 0.0,
        "begin": plan.warmup,
        "end": plan.iterations,
        "by_epoch": False,
    }
    if not plan.warmup:
        return [cosine]
    start = 1 / (plan.warmup + 1)
    return [{"type": LinearLR, "start_factor": start, "begin": 0, "end": plan.warmup, "by_epoch": False}, cosine]


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
        "versions": {
            "pretrain": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "mmengine": mmengine.__version__,
        },
    }
