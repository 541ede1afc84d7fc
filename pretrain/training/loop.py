"""MMEngine's iteration-based loop, resuming at the right batch instead of loading and dropping all earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.runner import BaseLoop, IterBasedTrainLoop
from torch import Tensor, nn

from pretrain.training.interrupt import signals_held


class ResumableLoop(IterBasedTrainLoop):
    """Sets the sampler's start, then runs to ``max_iters``; one pass over the loader is the whole training."""

    def __init__(self, runner: Any, dataloader: Any, max_iters: int) -> None:
        # Not MMEngine's own: it opens the loader here already, whose processes would load batches for nobody.
        BaseLoop.__init__(self, runner, dataloader)
        self._max_iters, self._max_epochs, self._epoch, self._iter = max_iters, 1, 0, 0
        self.stop_training = False

    def run(self) -> nn.Module:
        """Train from the iteration that the runner is at."""
        model = self.runner.model
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self.dataloader.batch_sampler.start = self._iter
        model.train()
        with signals_held():  # in the loader's processes until they ignore them
            batches = iter(self.dataloader)
        try:
            for data_batch in batches:
                self.run_iter(data_batch)
        finally:
            # Ends the loader's processes, which no signal ends (`pretrain.training.interrupt.ignore_signals`).
            del batches
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return model

    def run_iter(self, data_batch: Any) -> None:
        """One iteration: the step, and all hooks with what it returned."""
        runner = self.runner
        runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=data_batch)
        outputs = on_host(runner.model.train_step(data_batch, optim_wrapper=runner.optim_wrapper))
        runner.call_hook("after_train_iter", batch_idx=self._iter, data_batch=data_batch, outputs=outputs)
        self._iter += 1


def on_host(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The step's scalars on the CPU, in one transfer: an iteration waits for its device here and nowhere else.

    Hooks look at a dozen of them in every iteration; each look would wait on its own.
    """
    away = {name: value.detach() for name, value in outputs.items() if value.device.type != "cpu"}
    if not away:
        return dict(outputs)
    values = torch.stack([value.double() for value in away.values()]).cpu()
    return {**outputs, **dict(zip(away, values, strict=True))}
