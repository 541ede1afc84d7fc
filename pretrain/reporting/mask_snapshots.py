"""The mask along a training, kept for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from pretrain.atomic import write_text
from pretrain.mask_file import read_snapshots

MOMENTS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # the mask has to move in the first tenth, or it comes too late


class MaskSnapshots(Hook):
    """Writes M to ``mask.json``: iteration -> its D weights, before the first iteration and at `MOMENTS` of the run.

    Args:
        out: the file; entries of iterations that a resumed run will do again are dropped.
    """

    priority = "LOW"  # before the checkpoint, so that a resumed run finds what it had

    def __init__(self, out: Path) -> None:
        self.out = out

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Keep the start, and what a resumed run has already passed."""
        snapshots = {k: v for k, v in read_snapshots(self.out).items() if k <= runner.iter}
        if runner.iter == 0:
            snapshots = {0: _weights(runner)}
        write_text(self.out, json.dumps(snapshots))

    @master_only
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Keep the moments."""
        done = batch_idx + 1
        if done in {max(1, int(share * runner.max_iters)) for share in MOMENTS}:
            write_text(self.out, json.dumps({**read_snapshots(self.out), done: _weights(runner)}))


def _weights(runner: Runner) -> list[float]:
    values: list[float] = runner.model.objective.mask.weights().detach().float().cpu().tolist()
    return values
