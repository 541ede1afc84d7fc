"""Put a training together from settings, run it on MMEngine's Runner, and leave ``backbone.safetensors``."""

from __future__ import annotations

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
from pretrain.algorithm import Pretraining
from pretrain.backbones import feature_width, save_backbone
from pretrain.data import BatchOrder, TwoViews, UnreadableImages, collate
from pretrain.features import Input
from pretrain.hooks import Checkpoints, Guard, Progress
from pretrain.initial import normalised_as, read_initial
from pretrain.loop import ResumableLoop
from pretrain.online import OnlineKnn, class_folder
from pretrain.optim import build_optimizers
from pretrain.plan import Plan, prepare
from pretrain.records import records
from pretrain.settings import Settings, as_plain

PREFETCHED = 4  # batches that each loader process works ahead

log = logging.getLogger("pretrain")


def train(
    settings: Settings, plan: Plan, init: Path | None = None, resume: bool = False, hooks: Sequence[Hook] = ()
) -> Path:
    """Run the whole training.

    Args:
        settings: from `pretrain.settings.load_settings`.
        plan: from `pretrain.plan.make_plan`.
        init: weights to start from (`pretrain.initial`); they must fit completely, and bring their normalisation.
        resume: go on from the newest checkpoint in the work folder.
        hooks: more to be called during the training.

    Returns:
        The path of ``backbone.safetensors``.

    Raises:
        InputError: the work folder holds another run, the weights do not fit, ``run.knn_every`` finds no class
            folders, too many images are unreadable, or the loss is no longer finite.
    """
    initial = None if init is None else read_initial(init)
    settings = settings if initial is None else normalised_as(settings, initial)
    watch = [*_online_knn(settings, plan), *hooks]
    cv2.setNumThreads(0)  # the loader's processes are the parallelism
    torch.manual_seed(settings.run.seed)
    meta_start = plan.warmup if settings.meta.start is None else settings.meta.start
    model = Pretraining(settings=settings, iterations=plan.iterations, meta_start=meta_start)
    if initial is not None:
        initial.fill(model.backbone)
    order = BatchOrder(len(plan.source), settings.data.batch, plan.iterations, settings.run.seed, plan.source.shards)
    checkpoint = prepare(settings, plan, resume)  # the first thing that writes
    _announce(settings, plan, order)
    runner = _build_runner(settings, plan, model, order, checkpoint, watch)
    with warnings.catch_warnings():
        # The optimisers of m and ξ rest until the meta step starts, while the schedules already run.
        warnings.filterwarnings("ignore", "Detected call of `scheduler.step", UserWarning)
        runner.train()
    path = plan.work_dir / "backbone.safetensors"
    save_backbone(path, model.backbone, _metadata(settings, plan, order))
    log.info("wrote %s", path)
    return path


def _build_runner(
    settings: Settings,
    plan: Plan,
    model: Pretraining,
    order: BatchOrder,
    checkpoint: Path | None,
    watch: Sequence[Hook],
) -> Runner:
    unreadable = UnreadableImages(len(plan.source), settings.data.max_unreadable)
    width = feature_width(settings.backbone.arch)
    run = settings.run
    guard, checkpoints = Guard(unreadable, width), Checkpoints(run.checkpoint_every, run.keep, plan.checkpoints)
    progress = Progress(run.log_every, settings.data.batch, order.batches_per_epoch, plan.work_dir / "metrics.jsonl")
    # MMEngine's own logger and checkpoint hooks give way to ours; its timer and scheduler hooks stay.
    off = dict.fromkeys(("logger", "checkpoint", "sampler_seed"))
    data = f"{plan.source.described} ({len(plan.source)})"
    kept = records(settings, plan.work_dir, data, plan.iterations / order.batches_per_epoch, model.meta_start)
    return Runner(
        model=model,
        work_dir=str(plan.work_dir),
        train_dataloader=build_loader(settings, plan, order),
        train_cfg={"type": ResumableLoop, "max_iters": plan.iterations},
        optim_wrapper=build_optimizers(model),
        param_scheduler=_schedule(plan),
        default_hooks=off,
        custom_hooks=[progress, guard, checkpoints, *watch, *kept],
        visualizer={
            "type": Visualizer,
            "vis_backends": [{"type": TensorboardVisBackend}],
            "save_dir": str(plan.work_dir / "tensorboard"),
        },
        load_from=None if checkpoint is None else str(checkpoint),
        resume=checkpoint is not None,
        randomness={"seed": run.seed},
        log_level="ERROR",  # its warnings are about its own internals
        # MMEngine keeps process-wide objects under this name and the second: two runs must never share them.
        experiment_name=f"{plan.work_dir.name}_{secrets.token_hex(4)}",
    )


def _online_knn(settings: Settings, plan: Plan) -> list[Hook]:
    """The nearest neighbours' hook where the settings ask for it."""
    run, size = settings.run, settings.views.size
    if not run.knn_every:
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
        out=plan.work_dir / "metrics.jsonl",
    )
    return [hook]


def build_loader(settings: Settings, plan: Plan, order: BatchOrder) -> DataLoader[Any]:
    """Batches of `pretrain.data.collate`, made by ``data.workers`` processes of one thread each."""
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
