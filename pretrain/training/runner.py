"""MMEngine's Runner put together for one training: model, loader, optimisers, schedule, hooks."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import cv2
import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.optim import CosineAnnealingLR, LinearLR
from mmengine.runner import Runner
from mmengine.visualization import TensorboardVisBackend, Visualizer
from torch.utils.data import DataLoader

from pretrain.algorithm.pretraining import Pretraining
from pretrain.backbones import feature_width
from pretrain.data.order import BatchOrder
from pretrain.data.two_views import TwoViews, collate
from pretrain.distributed import ranks
from pretrain.reporting.metrics_file import NAME, MetricsFile
from pretrain.reporting.records import records
from pretrain.settings.schema import Settings
from pretrain.training.checkpoints import Checkpoints
from pretrain.training.hooks import Guard, Progress, UnreadableImages
from pretrain.training.interrupt import Interrupt, ignore_signals
from pretrain.training.loop import ResumableLoop
from pretrain.training.online_knn import OnlineKnn
from pretrain.training.online_objects import OnlineObjects
from pretrain.training.optimizers import build_optimizers
from pretrain.training.plan import Plan, Start
from pretrain.training.term_shares import TermShares
from pretrain.training.tracking import Tracker, Trackers

PREFETCHED = 4  # batches that each loader process works ahead


class TidyRunner(Runner):
    """MMEngine's Runner without a log file, a folder named after the time and a copy of an empty config.

    What they would tell is in ``environment.json``, ``resolved_config.py`` and ``metrics.jsonl``.
    """

    @property
    def timestamp(self) -> str:
        """Nothing: it names the folder that logs go to, which is then the work folder itself."""
        return ""

    def build_logger(self, log_level: int | str = "ERROR", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """MMEngine's logger, on the terminal alone."""
        return MMLogger.get_instance(name=self._experiment_name, log_level=log_level, **kwargs)

    def dump_config(self) -> None:
        """The run was not made from a config of MMEngine's."""


def build_runner(
    settings: Settings,
    plan: Plan,
    model: Pretraining,
    order: BatchOrder,
    start: Start,
    watch: Sequence[OnlineKnn],
    objects: Sequence[OnlineObjects],
    hooks: Sequence[Hook],
    interrupt: Interrupt,
    trackers: Sequence[Tracker] = (),
) -> Runner:
    """Everything that MMEngine calls during the training, in the order in which it does.

    Args:
        settings: of the run.
        plan: its images, folder and length.
        model: to train.
        order: of the images, this rank's share of them.
        start: where it begins.
        watch: the look at the nearest neighbours, on rank 0 where the settings ask for it.
        objects: the look at objects, likewise.
        hooks: more to be called.
        interrupt: notes the signals that end the training.
        trackers: runs of other programs that get the logged numbers too; on rank 0.
    """
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
    progress = Progress(plan.log_every, settings.data.batch, order.batches_per_epoch, MetricsFile(plan.work_dir / NAME))
    # MMEngine's own logger and checkpoint hooks give way to ours; its timer and scheduler hooks stay.
    off = dict.fromkeys(("logger", "checkpoint", "sampler_seed"))
    data = f"{plan.source.described} ({len(plan.source)})"
    epochs = plan.iterations / order.batches_per_epoch
    keepers = records(settings, plan.work_dir, data, epochs, model.meta_start) if ranks.rank() == 0 else []
    return TidyRunner(
        model=model,
        work_dir=str(plan.work_dir),
        train_dataloader=build_loader(settings, plan, order),
        train_cfg={"type": ResumableLoop, "max_iters": plan.iterations},
        optim_wrapper=build_optimizers(model),
        param_scheduler=_schedule(plan),
        default_hooks=off,
        custom_hooks=[progress, guard, TermShares(), checkpoints, *watch, *objects, *hooks, *keepers],
        visualizer={
            "type": Visualizer,
            "vis_backends": [{"type": TensorboardVisBackend}, Trackers(trackers)] if ranks.rank() == 0 else None,
            "save_dir": str(plan.work_dir / "tensorboard"),
        },
        load_from=None if start.checkpoint is None else str(start.checkpoint),
        resume=start.checkpoint is not None,
        randomness={"seed": run.seed},
        log_level="ERROR",  # its warnings are about its own internals
        # MMEngine keeps process-wide objects under this name and the second: two runs must never share them.
        experiment_name=f"{plan.work_dir.name}_{secrets.token_hex(4)}",
    )


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
