"""A loss that has no say in the step for long: one warning."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from pretrain.distributed import ranks

log = logging.getLogger("pretrain")

LEAST = 0.01  # of the step
PATIENCE = 200  # iterations


class TermShares(Hook):
    """Warns once of each term of L_low that is below a hundredth of the step for `PATIENCE` iterations in a row."""

    def __init__(self) -> None:
        self.below: dict[str, int] = {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Count, and warn."""
        assert outputs is not None
        for name, share in shares_of(outputs).items():
            self.below[name] = self.below.get(name, 0) + 1 if share < LEAST else 0
            if self.below[name] == PATIENCE and ranks.rank() == 0:
                log.warning(
                    "%s is %.2g of the real step's gradient, and has been below %g for %d iterations: it moves next to "
                    "nothing; raise its weight, or use objective.balance=gradient",
                    name,
                    share,
                    LEAST,
                    PATIENCE,
                )


def shares_of(outputs: Mapping[str, Tensor]) -> dict[str, float]:
    """Term -> its share of the real step's gradient at the features, from what a step returns."""
    return {k.removeprefix("share_"): float(v) for k, v in outputs.items() if k.startswith("share_")}
