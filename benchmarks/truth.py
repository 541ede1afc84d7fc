"""What a way of the meta step costs in truth: its hypergradient beside the exact one, along a real run.

Beside that of the same batch, and beside the mean over other batches: one batch's own is noise too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from benchmarks.modes import Case, Mode, Trainee
from pretrain.algorithm.lower import Forward
from pretrain.algorithm.pretraining import Pretraining
from pretrain.algorithm.upper import Batch, UpperLevel
from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD
from pretrain.data.order import BatchOrder
from pretrain.data.sources import open_source
from pretrain.data.two_views import TwoViews, collate
from pretrain.data.views import ViewSettings
from pretrain.method.bilevel import Hypergradient
from pretrain.method.tangent import Tensors
from pretrain.method.trial_step import TrialStep
from pretrain.probes.classifiers import hits, knn_scores
from pretrain.probes.features import Input, extract_features
from pretrain.probes.labelled import labelled_splits
from pretrain.settings.sections import MetaSettings

VARIABLES = ("mask", "fusion")


@dataclass(frozen=True)
class TruthSettings:
    """A short run on real images.

    Attributes:
        steps: iterations; the learning rate rises over the first tenth, where no meta step happens, then falls by a
            cosine to zero.
        every: compare at the first meta step of every K iterations.
        lr: peak learning rate of w.
        others: batches whose exact hypergradients are averaged at each comparison.
    """

    steps: int = 200
    every: int = 10
    lr: float = 1e-3
    others: int = 8

    @property
    def warmup(self) -> int:
        """Iterations before the first meta step."""
        return self.steps // 10


class Watched(Pretraining):
    """The model as it is, with its hypergradient compared to the exact *post* one each time ψ is about to move.

    At that moment of an iteration w is where the real step ended and ψ has not moved: the exact one starts a trial
    step from there, on the same batch, whatever the mode itself did.

    Attributes:
        compare_every: iterations.
        others: batches to take the mean over.
        comparisons: of each and upper variable, the cosine and the norm ratio, and the cosine with the mean.
    """

    compare_every = 1
    others: Sequence[Mapping[str, Any]] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.comparisons: list[dict[str, tuple[float, float, float]]] = []
        self._next = 0
        self._batch: Batch | None = None
        self._exact = UpperLevel(self.backbone, self.objective, MetaSettings(hypergradient="forward_mode"))

    def _forward(self, t: int, views: Tensor) -> Forward:
        forward = super()._forward(t, views)
        self._batch = forward.batch
        return forward

    def _move_upper(self, hypergradient: Hypergradient, optim: OptimWrapperDict) -> dict[str, Tensor]:
        if self.iterations_done >= self._next:
            assert self._batch is not None
            step, total = self._trial_step(optim), hypergradient.total()
            exact = compare(total, self._exact.post(self._batch, step).total())
            mean = compare(total, self._mean(step))
            self.comparisons.append({name: (*values, mean[name][0]) for name, values in exact.items()})
            self._next = self.iterations_done + self.compare_every
        return super()._move_upper(hypergradient, optim)

    def _mean(self, step: TrialStep) -> Tensors:
        """The mean of the other batches' exact hypergradients at the current weights."""
        assert self._batch is not None
        totals = []
        for data in self.others:
            batch = replace(self._batch, views=self._inputs(data))
            with torch.no_grad():
                h = self._exact.problem(batch).features(self._exact.weights().backbone)
                fixed = self.objective.comp_input(h, {})  # what no embedding is read for, the default
            totals.append(self._exact.post(replace(batch, fixed=fixed), step).total())
        return {k: torch.stack([total[k] for total in totals]).mean(dim=0) for k in totals[0]}


def compare(total: Tensors, exact: Tensors) -> dict[str, tuple[float, float]]:
    """Cosine and norm ratio of two hypergradients, for each upper variable apart; NaN where one vanishes."""
    result = {}
    for variable in VARIABLES:
        keys = [k for k in exact if k.startswith(f"{variable}.")]
        a, b = (torch.cat([d[k].flatten() for k in keys]).double() for d in (total, exact))
        norms = float(a.norm()), float(b.norm())
        cosine = float(a @ b) / (norms[0] * norms[1]) if min(norms) > 0 else math.nan
        result[variable] = cosine, norms[0] / norms[1] if norms[1] > 0 else math.nan
    return result


def batches(data: Path, case: Case, steps: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """The first ``steps`` batches of a folder of images in the order of ``seed``, read in this process.

    Raises:
        InputError: no images, or fewer than one batch.
    """
    views = TwoViews(open_source([data]), ViewSettings(size=case.size, crop_min=0.2), seed=seed)
    for keys in BatchOrder(len(views), case.n, steps, seed=seed):
        yield collate([views[key] for key in keys])


def nearest_neighbours(backbone: nn.Module, data: Path, size: int) -> dict[str, float] | None:
    """5-nn accuracy of the val folders by the train folders, percent, and its standard error; None without classes."""
    if not (data / "train").is_dir():
        return None
    train, val = labelled_splits(data)
    how = Input(size, size, IMAGENET_MEAN, IMAGENET_STD)
    bank, query = (extract_features(backbone, part, how).values for part in (train, val))
    right = hits(knn_scores(bank, train.labels, query, classes=len(train.classes)), val.labels)
    accuracy = float(right.double().mean())
    return {"accuracy": 100 * accuracy, "standard_error": 100 * math.sqrt(accuracy * (1 - accuracy) / len(right))}


def run(mode: Mode, case: Case, data: Path, settings: TruthSettings, device: torch.device) -> dict[str, Any]:
    """Train in ``mode`` and compare on the way.

    Returns:
        Per upper variable the median cosine, the lowest cosine and the median norm ratio beside the exact one of the
        same batch, and the median cosine with the mean over other batches; their number; the loss L_meta at the end
        (mean of the last tenth); and ``knn`` of the features it ends with, see `nearest_neighbours`.
    """
    images = data / "train" if (data / "train").is_dir() else data
    others = list(batches(images, case, settings.others, seed=1))
    kind = type("WatchedRun", (Watched,), {"compare_every": settings.every, "others": others})
    trainee = Trainee(case, replace(mode, meta_start=settings.warmup), device, settings.lr, settings.steps, kind)
    losses = []
    for t, batch in enumerate(batches(images, case, settings.steps)):
        trainee.set_lr(_factor(t, settings))
        log = trainee.model.train_step(batch, trainee.optimizers)
        losses.append(float(log["contrastive"]))
    comparisons = trainee.model.comparisons
    tail = losses[-max(1, len(losses) // 10) :]
    return {
        **{variable: _summary([s[variable] for s in comparisons]) for variable in VARIABLES},
        "n": len(comparisons),
        "contrastive_at_end": sum(tail) / len(tail),
        "knn": nearest_neighbours(trainee.model.backbone, data, case.size),
    }


def _summary(comparisons: list[tuple[float, float, float]]) -> dict[str, float | None]:
    finite = [values for values in comparisons if all(map(math.isfinite, values))]
    if not finite:
        return dict.fromkeys(("cosine", "lowest_cosine", "norm_ratio", "mean_cosine"))
    cosines, ratios, means = zip(*finite, strict=True)
    return {
        "cosine": median(cosines),
        "lowest_cosine": min(cosines),
        "norm_ratio": median(ratios),
        "mean_cosine": median(means),
    }


def _factor(t: int, settings: TruthSettings) -> float:
    if t < settings.warmup:
        return (t + 1) / (settings.warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (t - settings.warmup) / max(1, settings.steps - settings.warmup)))
