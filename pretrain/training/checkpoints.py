"""Saving a training so that it can be ended anywhere: whole, only where it is sound, the last ones and the best."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from pretrain.atomic import whole
from pretrain.distributed import ranks
from pretrain.errors import InputError, Interrupted
from pretrain.training.checkpoint_files import BEST, checkpoint_name, find_checkpoints, last_good
from pretrain.training.interrupt import Interrupt
from pretrain.training.online_knn import OnlineKnn

log = logging.getLogger("pretrain")


class Checkpoints(Hook):
    """MMEngine's checkpoint, written whole and loadable with ``weights_only=True``.

    The last ``keep`` stay, and the best one as ``best.pth``: the highest accuracy of the nearest neighbours where
    there is a look at them (each look is saved), else the lowest mean training loss since the checkpoint before.

    Args:
        every: iterations.
        keep: how many stay.
        folder: where.
        interrupt: saves and ends the training when a signal came.
        knn: the look at the nearest neighbours, on rank 0.
        looks_every: iterations between two looks; 0 for none.
        retuned: take learning rates, decays and schedules from the settings and not from the checkpoint resumed from:
            the settings have changed since.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        *,
        every: int,
        keep: int,
        folder: Path,
        interrupt: Interrupt,
        knn: OnlineKnn | None = None,
        looks_every: int = 0,
        retuned: bool = False,
    ) -> None:
        self.every, self.keep, self.folder, self.interrupt = every, keep, folder, interrupt
        self.knn, self.looks_every, self.retuned = knn, looks_every, retuned
        self.best: dict[str, Any] = {"by": "knn" if looks_every else "loss", "value": math.inf, "iteration": 0}
        self.losses: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Complete what a killed run left half done."""
        if ranks.rank() == 0 and self.folder.is_dir():
            for partial in self.folder.glob(".*.partial"):
                partial.unlink()
            if self.best["iteration"] == runner.iter > 0:
                self._link_best(runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Save after every ``every``-th iteration, every look and the last iteration, and when a signal came."""
        assert outputs is not None
        done = batch_idx + 1
        self.losses.append(outputs["loss"].detach())
        signum = ranks.largest(self.interrupt.signum)
        looked = bool(self.looks_every) and done % self.looks_every == 0
        if signum or looked or done % self.every == 0 or done == runner.max_iters:
            self._check(runner.model, done)
            if ranks.rank() == 0:
                self._save(runner, done)
        if signum:
            raise Interrupted(signum, done)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Leave out MMEngine's log history: its class is refused by a safe load (mmengine #1655).

        float16's loss scale goes in, so that a resumed run takes the very same steps.
        """
        checkpoint["message_hub"] = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}
        checkpoint["loss_scale"] = None if runner.model.loss_scale is None else runner.model.loss_scale.state()
        checkpoint["best"] = self.best

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take it back, after a look at whether the checkpoint fits at all (MMEngine would load a part of it)."""
        _check_fits(runner.model, checkpoint["state_dict"])
        if checkpoint.get("best", {}).get("by") == self.best["by"]:
            self.best = checkpoint["best"]
        if runner.model.loss_scale is not None and checkpoint.get("loss_scale") is not None:
            runner.model.loss_scale.load_state(checkpoint["loss_scale"])
        if self.retuned:
            _retune(runner, checkpoint)

    @torch.no_grad()
    def _check(self, model: nn.Module, done: int) -> None:
        """No checkpoint of weights or statistics that are not finite, or of weights that differ between ranks."""
        weights: list[Tensor] = list(model.parameters())
        buffers = [b for b in model.buffers() if b.is_floating_point()]  # running statistics overflow before weights
        largest = torch.stack(torch._foreach_norm([*weights, *buffers], ord=math.inf))
        if not bool(largest.isfinite().all()):
            # The same weights and the same error on every rank, hence one message.
            ranks.on_all_ranks(lambda: _not_finite(done, self.folder))
        norms = torch.stack(torch._foreach_norm(weights)).cpu().numpy().tobytes()
        ranks.check_same(hashlib.sha256(norms).hexdigest()[:16], f"the weights after iteration {done}")

    def _save(self, runner: Runner, done: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        best = self._take_note(done)
        try:
            with whole(self.folder / checkpoint_name(done)) as partial:
                runner.save_checkpoint(str(partial.parent), partial.name, by_epoch=False)
            if best:
                self._link_best(done)
        except OSError as error:
            raise InputError(
                f"the checkpoint after iteration {done} could not be written to {self.folder} ({error.strerror}), "
                f"where {shutil.disk_usage(self.folder).free / 1e9:.1f} GB are free; {last_good(self.folder)}; make "
                "room and go on with --resume"
            ) from error
        for old in find_checkpoints(self.folder)[: -self.keep]:
            old.unlink()

    def _take_note(self, done: int) -> bool:
        """Whether this is the best so far."""
        value = float(torch.stack(self.losses).mean())
        self.losses = []
        if self.looks_every:
            if self.knn is None or self.knn.latest is None or self.knn.latest[0] != done:
                return False
            value = -self.knn.latest[1]
        if value >= self.best["value"]:
            return False
        self.best = {**self.best, "value": value, "iteration": done}
        return True

    def _link_best(self, done: int) -> None:
        source = self.folder / checkpoint_name(done)
        with whole(self.folder / BEST) as partial:
            try:
                os.link(source, partial)
            except OSError:  # a file system without hard links
                shutil.copy2(source, partial)


def _not_finite(done: int, folder: Path) -> None:
    raise InputError(
        f"the weights are no longer finite after iteration {done}: nothing is saved of them, {last_good(folder)}; "
        "lower optimizer.lr or raise schedule.warmup_share"
    )


def _check_fits(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    expected = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    saved = {k: tuple(v.shape) for k, v in state.items()}
    differ = sorted(k for k in expected.keys() | saved.keys() if expected.get(k) != saved.get(k))
    if differ:
        raise InputError(
            f"--resume: expected a checkpoint of the same networks, found {len(differ)} tensors that are missing, "
            f"extra or of another shape ({', '.join(differ[:3])}{', ...' if len(differ) > 3 else ''}); go back to the "
            "settings that the run began with"
        )


def _retune(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Learning rates, momenta and decays of the settings at the iteration resumed from; the buffers stay."""
    for schedulers in runner.param_schedulers.values():
        for _ in range(checkpoint["meta"]["iter"]):
            for scheduler in schedulers:
                scheduler.step()
    checkpoint["param_schedulers"] = {
        name: [s.state_dict() for s in schedulers] for name, schedulers in runner.param_schedulers.items()
    }
    for name, fresh in runner.optim_wrapper.state_dict().items():
        checkpoint["optimizer"][name]["param_groups"] = fresh["param_groups"]
