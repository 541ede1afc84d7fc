"""What happens around training, never to it: progress, checkpoints, warnings. One mount point each."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from pretrain.data import UnreadableImages
from pretrain.errors import InputError
from pretrain.plan import checkpoint_name, find_checkpoints

log = logging.getLogger("pretrain")

_SHOWN = ("loss", "redundancy", "contrastive", "bootstrap", "mcr", "effective_rank")


class Progress(Hook):
    """One line on the terminal every ``every`` iterations; every number to ``metrics.jsonl`` and TensorBoard."""

    priority = "VERY_LOW"

    def __init__(self, every: int, images: int, batches_per_epoch: int, out: Path) -> None:
        self.every, self.images, self.batches_per_epoch, self.out = every, images, batches_per_epoch, out
        self.started = self.seen = 0.0
        self.waited = 0.0

    def before_train(self, runner: Runner) -> None:
        """Drop the lines of iterations that this run will do (again)."""
        if self.out.exists():
            kept = [line for line in self.out.read_text().splitlines() if json.loads(line)["iteration"] <= runner.iter]
            self.out.write_text("".join(f"{line}\n" for line in kept))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note how long the batch was waited for (MMEngine's timer measures it before this hook)."""
        if not self.started:
            self.started = time.perf_counter()
        self.waited += float(runner.message_hub.get_scalar("train/data_time").current())

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Print and write."""
        done, total = batch_idx + 1, runner.max_iters
        self.seen += 1
        if (done % self.every and done != total) or outputs is None:
            return
        elapsed = time.perf_counter() - self.started
        rate = self.seen / elapsed
        values = {name: float(value) for name, value in outputs.items()}
        values["lr"] = float(runner.optim_wrapper["lower"].optimizer.param_groups[0]["lr"])
        values["images_per_second"] = rate * self.images
        values["data_wait"] = self.waited / elapsed
        shown = "  ".join(f"{name} {values[name]:.4g}" for name in _SHOWN if name in values)
        log.info(
            "[%*d/%d] epoch %.1f  %s  %.0f img/s  eta %s",
            len(str(total)),
            done,
            total,
            done / self.batches_per_epoch,
            shown,
            values["images_per_second"],
            clock((total - done) / rate),
        )
        with self.out.open("a") as file:
            file.write(json.dumps({"iteration": done, **values}) + "\n")
        runner.visualizer.add_scalars(values, step=done)
        self.started, self.seen, self.waited = time.perf_counter(), 0.0, 0.0


class Checkpoints(Hook):
    """MMEngine's checkpoint, written atomically and loadable with ``weights_only=True``; the last ``keep`` stay."""

    priority = "VERY_LOW"

    def __init__(self, every: int, keep: int, folder: Path) -> None:
        self.every, self.keep, self.folder = every, keep, folder

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Save after every ``every``-th iteration and after the last one."""
        done = batch_idx + 1
        if done % self.every and done != runner.max_iters:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        partial, final = f".{done}.partial", self.folder / checkpoint_name(done)
        try:
            runner.save_checkpoint(str(self.folder), partial, by_epoch=False)
            with (self.folder / partial).open("rb") as file:
                os.fsync(file.fileno())
            os.replace(self.folder / partial, final)
        finally:
            (self.folder / partial).unlink(missing_ok=True)
        for old in find_checkpoints(self.folder)[: -self.keep]:
            old.unlink()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Leave out MMEngine's log history: its class is refused by a safe load (mmengine #1655).

        Look-ahead's memory of the iteration before goes in, so that a resumed run takes the very same steps.
        """
        checkpoint["message_hub"] = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}
        checkpoint["look_ahead"] = runner.model.look_ahead_state()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take look-ahead's memory back."""
        runner.model.load_look_ahead_state(checkpoint.get("look_ahead"))


class Guard(Hook):
    """Stops on a non-finite loss and on too many unreadable images; warns of collapse and of an early-frozen mask."""

    def __init__(self, unreadable: UnreadableImages, width: int) -> None:
        self.unreadable, self.width = unreadable, width
        self.warned: set[str] = set()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Look at the batch's files and at what the step returned."""
        assert data_batch is not None
        assert outputs is not None
        for name in self.unreadable.add(data_batch["unreadable"]):
            log.warning("unreadable image skipped (%d so far): %s", len(self.unreadable.names), name)
        if not bool(torch.isfinite(outputs["loss"])):
            raise InputError(
                f"the loss became {float(outputs['loss'])} at iteration {batch_idx + 1}: expected a finite number; "
                f"lower optimizer.lr or raise schedule.warmup_epochs; the batch began with "
                f"{', '.join(data_batch['paths'][:3])}"
            )
        self._health(runner, batch_idx, outputs)

    def _health(self, runner: Runner, batch_idx: int, outputs: Mapping[str, Tensor]) -> None:
        healthy_std = 1 / math.sqrt(self.width)
        if "feature_std" in outputs and float(outputs["feature_std"]) < 0.05 * healthy_std:
            self._warn(
                "collapse",
                f"the features are collapsing: std of the normalised rows {float(outputs['feature_std']):.2g}, "
                f"healthy about {healthy_std:.2g}; lower the learning rate",
            )
        early = batch_idx + 1 <= 0.1 * runner.max_iters
        if early and float(outputs.get("mask_saturated", 0.0)) > 0.1:
            self._warn(
                "mask",
                f"{float(outputs['mask_saturated']):.0%} of the mask is below 0.05 or above 0.95 in the first tenth of "
                f"training; lower meta.mask_lr or meta.clip, or raise meta.start",
            )

    def _warn(self, what: str, text: str) -> None:
        if what not in self.warned:
            self.warned.add(what)
            log.warning(text)


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
