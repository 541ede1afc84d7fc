"""Nearest neighbours during training, where the images lie in class folders: a look, never a part of the training.

The queries are a held-out part of the *training* images, not a test set: the backbone sees them too, without their
classes. The figure follows a training; it is not one to publish.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from pretrain.data.order import BatchOrder
from pretrain.data.pixels import Image, read_image
from pretrain.data.sources import ImageFiles, Source
from pretrain.distributed import ranks
from pretrain.errors import InputError
from pretrain.probes.classifiers import hits, holdout, knn_scores, standard_error
from pretrain.probes.features import Features, Input, extract_features
from pretrain.probes.labelled import class_names
from pretrain.reporting.metrics_file import NAME, MetricsFile
from pretrain.settings.schema import Settings
from pretrain.training.plan import Plan

QUERY_SHARE = 0.2
LARGEST_BANK, LARGEST_QUERY = 20_000, 5_000  # images; a random part of larger sets
NEIGHBOURS, TEMPERATURE = 5, 0.07

log = logging.getLogger("pretrain")


class OnlineKnn(Hook):
    """Accuracy of weighted k-nearest neighbours every ``every`` iterations and after the last one.

    Writes ``knn`` and ``knn_standard_error`` (percent) on a line of their own to ``metrics.jsonl``, to TensorBoard
    and to the terminal. Weights, running statistics, modes and random state stay as they are.

    Args:
        every: iterations.
        root: folder of class folders.
        paths: the training images in it.
        how: resizing and normalisation.
        seed: of the split.
        batch: images at once.
        workers: loader processes.
        out: ``metrics.jsonl``.

    Attributes:
        latest: iteration and accuracy of the last look, None before.

    Raises:
        InputError: the images do not lie in at least two class folders, or no class has two of them.
    """

    priority = "LOW"  # after the step's own hooks, before the progress line and the checkpoint

    def __init__(
        self,
        *,
        every: int,
        root: Path,
        paths: Sequence[Path],
        how: Input,
        seed: int,
        batch: int,
        workers: int,
        out: MetricsFile,
    ) -> None:
        self.every, self.how, self.batch, self.workers, self.out = every, how, batch, workers, out
        self.latest: tuple[int, float] | None = None
        self.classes = _classes(root, paths)
        position = {name: k for k, name in enumerate(self.classes)}
        labels = torch.tensor([position[p.relative_to(root).parts[0]] for p in paths])
        if int(labels.bincount().max()) < 2:
            raise InputError(
                f"run.knn_every: expected a class with at least two images in {root}, found none; set it to 0"
            )
        bank, query = holdout(labels, QUERY_SHARE, seed)
        self.bank = _Part(paths, labels, _at_most(bank, LARGEST_BANK, seed))
        self.query = _Part(paths, labels, _at_most(query, LARGEST_QUERY, seed))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Look, say and write, when it is time."""
        done = batch_idx + 1
        if done % self.every and done != runner.max_iters:
            return
        values = self.look(runner.model.backbone)
        if not values:
            return
        self.latest = done, values["knn"]
        log.info(
            "[%d/%d] %d-nn %.2f ± %.2f %% on %d held-out training images of %d classes",
            done,
            runner.max_iters,
            NEIGHBOURS,
            values["knn"],
            values["knn_standard_error"],
            len(self.query),
            len(self.classes),
        )
        self.out.append(done, values)
        runner.visualizer.add_scalars(values, step=done)

    def look(self, backbone: torch.nn.Module) -> dict[str, float]:
        """``knn`` and ``knn_standard_error`` of the backbone as it is, percent; empty where there is none to give.

        There is none while the running statistics give features that are not finite, or with no readable image.
        """
        bank, query = self._features(backbone, self.bank), self._features(backbone, self.query)
        known, labels = bank.values[bank.readable], self.bank.labels[bank.readable]
        queries, right = query.values[query.readable], self.query.labels[query.readable]
        if not len(known) or not len(queries) or not bool(known.isfinite().all() and queries.isfinite().all()):
            log.warning("online nearest neighbours: expected readable images with finite features, found none")
            return {}
        k = min(NEIGHBOURS, len(known))
        scores = knn_scores(known, labels, queries, classes=len(self.classes), k=k, temperature=TEMPERATURE)
        accuracy = int(hits(scores, right).sum()) / len(queries)
        return {"knn": 100 * accuracy, "knn_standard_error": 100 * standard_error(accuracy, len(queries))}

    def _features(self, backbone: torch.nn.Module, part: _Part) -> Features:
        return extract_features(backbone, part, self.how, batch=self.batch, workers=self.workers)


def online_knn(settings: Settings, plan: Plan) -> list[OnlineKnn]:
    """The hook where the settings ask for it, on rank 0; else none.

    Raises:
        InputError: the images do not lie in class folders.
    """
    run, size = settings.run, settings.views.size
    if not run.knn_every or ranks.rank() > 0:
        return []
    root, paths = class_folder(plan.source)
    per_epoch = BatchOrder(len(plan.source), settings.data.batch, 0, 0).batches_per_epoch
    hook = OnlineKnn(
        every=run.knn_every * per_epoch,
        root=root,
        paths=paths,
        how=Input(size, size, settings.data.mean, settings.data.std),
        seed=run.seed,
        batch=settings.data.batch,
        workers=settings.data.workers,
        out=MetricsFile(plan.work_dir / NAME),
    )
    return [hook]


class _Part:
    """Some of the training images with their classes."""

    def __init__(self, paths: Sequence[Path], labels: Tensor, chosen: Tensor) -> None:
        self.paths, self.labels = [paths[k] for k in chosen.tolist()], labels[chosen]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, k: int) -> Image | None:
        return read_image(self.paths[k])


def class_folder(source: Source) -> tuple[Path, list[Path]]:
    """The one folder that all images lie in, and the images.

    Raises:
        InputError: they come from elsewhere.
    """
    if not isinstance(source, ImageFiles) or source.root is None:
        raise InputError(
            f"run.knn_every: expected one folder of class folders in --data, found {source.described}; set it to 0"
        )
    return source.root, source.paths


def _classes(root: Path, paths: Sequence[Path]) -> tuple[str, ...]:
    try:
        return class_names(root, paths)
    except InputError as error:
        raise InputError(f"run.knn_every: {error}, or set run.knn_every=0") from None


def _at_most(indices: Tensor, most: int, seed: int) -> Tensor:
    """A random part of the indices, drawn from the seed alone; all of them when they are few."""
    order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(seed))
    return indices[order[:most].sort().values]
