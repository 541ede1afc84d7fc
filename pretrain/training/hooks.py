"""What happens around training, never to it: progress and warnings. One mount point each."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from pretrain.atomic import write_text
from pretrain.distributed import ranks
from pretrain.errors import InputError
from pretrain.reporting.metrics_file import MetricsFile
from pretrain.training.checkpoint_files import last_good

log = logging.getLogger("pretrain")

_SHOWN = ("loss", "redundancy", "contrastive", "bootstrap", "dense", "mcr", "effective_rank")
_COLLAPSED = 0.05  # share of a healthy spread of the features
_PATIENCE = 10  # iterations in a row that make a collapse; one alone can be a batch of like images


class Progress(Hook):
    """One line on the terminal every ``every`` iterations; every number to ``metrics.jsonl`` and TensorBoard.

    A number that not every iteration has, such as the upper level's with ``meta.every`` above 1, is that of the last
    iteration that had it. With several processes rank 0 speaks for all: the share of waiting for data is the largest of
    any rank.
    """

    priority = "VERY_LOW"

    def __init__(self, every: int, images: int, batches_per_epoch: int, out: MetricsFile) -> None:
        self.every, self.images, self.batches_per_epoch, self.out = every, images, batches_per_epoch, out
        self.started = self.waited = 0.0
        self.iterations = 0  # since the last line
        self.latest: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Drop the lines of iterations that this run will do (again), and a last one that a kill cut short."""
        if ranks.rank() == 0:
            self.out.drop_after(runner.iter)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note how long the batch was waited for (MMEngine's timer measures it before this hook)."""
        if not self.started:
            self.started = time.perf_counter()
        self.waited += float(runner.message_hub.get_scalar("train/data_time").current())

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Print and write."""
        assert outputs is not None
        done, total = batch_idx + 1, runner.max_iters
        self.iterations += 1
        self.latest.update(outputs)
        if done % self.every and done != total:
            return
        elapsed = time.perf_counter() - self.started
        rate, waited = self.iterations / elapsed, max(ranks.gather_objects(self.waited / elapsed))
        self.started, self.iterations, self.waited = time.perf_counter(), 0, 0.0
        if ranks.rank() > 0:
            return
        values = {name: float(value) for name, value in self.latest.items()}
        values["lr"] = float(runner.optim_wrapper["lower"].optimizer.param_groups[0]["lr"])
        values["images_per_second"] = rate * self.images
        values["data_wait"] = waited
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
        self.out.append(done, values)
        runner.visualizer.add_scalars(values, step=done)


class Guard(Hook):
    """Stops on a non-finite loss and on too many unreadable images; warns of collapse and of an early-frozen mask.

    It looks at every iteration, however often a line is written. Iterations that float16's loss scale left out are no
    fault: they are only logged.

    Args:
        unreadable: counts them, on all ranks alike.
        width: of the features.
        work_dir: the file names of a batch with a non-finite loss go there.
    """

    def __init__(self, unreadable: UnreadableImages, width: int, work_dir: Path) -> None:
        self.unreadable, self.width, self.work_dir = unreadable, width, work_dir
        self.warned: set[str] = set()
        self.collapsed = 0  # iterations in a row

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Look at the batch's files and at what the step returned."""
        assert data_batch is not None
        assert outputs is not None
        finite = bool(torch.isfinite(outputs["loss"]))
        trouble = ranks.largest(0 if finite and not data_batch["unreadable"] else 1 if finite else 2)
        if trouble:
            self._take_note([n for names in ranks.gather_objects(data_batch["unreadable"]) for n in names])
        if trouble == 2:
            self._stop(batch_idx + 1, float(outputs["loss"]), ranks.gather_objects(data_batch["paths"]))
        self._overflow(runner, batch_idx + 1)
        self._health(runner, batch_idx, outputs)

    def _overflow(self, runner: Runner, iteration: int) -> None:
        """A finite loss whose float16 gradients were not: usual in the first iterations, then now and again."""
        scale = runner.model.loss_scale
        if scale is not None and scale.overflowed and ranks.rank() == 0:
            log.info(
                "iteration %d left out: its gradients overflowed in float16 (%d left out so far); the loss scale is "
                "now %g",
                iteration,
                scale.skipped,
                scale.value,
            )

    def _take_note(self, unreadable: list[str]) -> None:
        new = ranks.on_all_ranks(lambda: self.unreadable.add(unreadable))
        for name in new if ranks.rank() == 0 else ():
            log.warning("unreadable image skipped (%d so far): %s", len(self.unreadable.names), name)

    def _stop(self, iteration: int, loss: float, shares: list[list[str]]) -> None:
        """End all ranks, naming the batch in its global order."""
        paths = [path for one_of_each in zip(*shares, strict=True) for path in one_of_each]
        listed = self.work_dir / f"nonfinite_{iteration:08d}.txt"

        def stop() -> None:
            if ranks.rank() == 0:
                write_text(listed, "".join(f"{path}\n" for path in paths))
            saved = last_good(self.work_dir / "checkpoints")
            raise InputError(
                f"the loss became {loss} at iteration {iteration}: expected a finite number; lower optimizer.lr or "
                f"raise schedule.warmup_share; {saved}; the batch's {len(paths)} files are in {listed}: "
                f"{', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''}"
            )

        ranks.on_all_ranks(stop)

    def _health(self, runner: Runner, batch_idx: int, outputs: Mapping[str, Tensor]) -> None:
        std, healthy = float(outputs["feature_std"]), 1 / math.sqrt(self.width)
        self.collapsed = self.collapsed + 1 if std < _COLLAPSED * healthy else 0
        if self.collapsed >= min(_PATIENCE, runner.max_iters):
            self._warn(
                "collapse",
                f"the features are collapsing: std of the normalised rows {std:.2g}, healthy about {healthy:.2g}, at "
                f"iteration {batch_idx + 1}; lower the learning rate",
            )
        early = batch_idx + 1 <= 0.1 * runner.max_iters
        if early and float(outputs.get("mask_saturated", 0.0)) > 0.1:
            self._warn(
                "mask",
                f"{float(outputs['mask_saturated']):.0%} of the mask is below 0.05 or above 0.95 in the first tenth of "
                f"training; lower meta.mask_lr, or raise meta.start",
            )

    def _warn(self, what: str, text: str) -> None:
        if what not in self.warned and ranks.rank() == 0:
            self.warned.add(what)
            log.warning(text)


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


class UnreadableImages:
    """Counts and names the images that could not be read, and stops training when they are too many."""

    def __init__(self, images: int, max_share: float) -> None:
        self.images, self.max_share = images, max_share
        self.names: set[str] = set()

    def add(self, names: Sequence[str]) -> list[str]:
        """Take note of unreadable files; returns those that are new.

        Raises:
            InputError: more than ``max_share`` of all images are unreadable.
        """
        new = [n for n in dict.fromkeys(names) if n not in self.names]
        self.names.update(new)
        if len(self.names) > self.max_share * self.images:
            raise InputError(
                f"too many unreadable images: expected at most {self.max_share:.0%} of {self.images}, found "
                f"{len(self.names)} so far ({', '.join(sorted(self.names)[:3])}, ...); repair or remove them, or raise "
                f"data.max_unreadable"
            )
        return new
