"""MMEngine's iteration-based loop, resuming at the right batch instead of loading and dropping all earlier ones."""

from __future__ import annotations

from typing import Any

from mmengine.runner import BaseLoop, IterBasedTrainLoop
from torch import nn


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
