"""MMEngine's iteration-based loop, resuming at the right batch instead of loading and dropping all earlier ones."""

from __future__ import annotations

from mmengine.runner import IterBasedTrainLoop
from torch import nn


class ResumableLoop(IterBasedTrainLoop):
    """Sets the sampler's start, then runs to ``max_iters``; one pass over the loader is the whole training."""

    def run(self) -> nn.Module:
        """Train from the iteration that the runner is at."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self.dataloader.batch_sampler.start = self._iter
        self.runner.model.train()
        for data_batch in self.dataloader:
            self.run_iter(data_batch)
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model
