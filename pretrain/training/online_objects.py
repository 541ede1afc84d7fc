"""Objects during training, where a COCO set is given for it: a look and a verdict, never a part of the training.

The labels never reach the training. The look goes to random weights of the same network first, whose batch norms get
the statistics of the images, so that each later one can say what the training has been worth.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from pretrain.algorithm.pretraining import Pretraining
from pretrain.data.order import BatchOrder
from pretrain.data.sources import ImageFiles, Source
from pretrain.data.two_views import TwoViews, collate
from pretrain.distributed import ranks
from pretrain.errors import InputError
from pretrain.probes.frozen import load_frozen
from pretrain.probes.object_set import ObjectSet, read_objects
from pretrain.probes.objects import Part, parts_of, probe, random_weights
from pretrain.probes.protocol import ObjectsProtocol
from pretrain.probes.questions import Measured
from pretrain.probes.region_features import WholeInput
from pretrain.probes.verdict import numbers, verdict
from pretrain.reporting.metrics_file import NAME, MetricsFile
from pretrain.settings.schema import Settings
from pretrain.training.plan import Plan

MOST_IMAGES, MOST_OBJECTS = 500, 2_000  # of a look; a random part of larger sets
FEWEST_HELD_OUT = 8  # images; a loss of fewer says nothing

log = logging.getLogger("pretrain")


class OnlineObjects(Hook):
    """Probes of objects every ``every`` iterations and after the last one, and a verdict against random weights.

    Writes `pretrain.probes.verdict.numbers` on a line of their own to ``metrics.jsonl`` and to TensorBoard, and the
    verdict to the terminal. Weights, running statistics, modes and random state stay as they are.

    Args:
        every: iterations.
        train, test: images to learn from and to be tested on.
        held_out: images that are not trained on, whose loss is looked at; None where there are too few.
        settings: of the run.
        out: ``metrics.jsonl``.

    Attributes:
        random: the answers and the losses of random weights, None before the training begins.
    """

    priority = "LOW"  # after the step's own hooks, before the progress line and the checkpoint

    def __init__(
        self, *, every: int, train: Part, test: Part, held_out: ImageFiles | None, settings: Settings, out: MetricsFile
    ) -> None:
        self.every, self.train, self.test, self.settings, self.out = every, train, test, settings, out
        self.how = WholeInput(None, settings.data.mean, settings.data.std)
        self.protocol = ObjectsProtocol(most=MOST_OBJECTS)
        views = None if held_out is None else TwoViews(held_out, settings.views, settings.run.seed)
        self.batch = None if views is None else collate([views[0, k] for k in range(len(views))])
        self.random: tuple[Measured, dict[str, float]] | None = None

    def before_train(self, runner: Runner) -> None:
        """Look at random weights: those that a run of these settings begins with, whatever this one began with."""
        device = next(runner.model.parameters()).device
        run, net = self.settings.run, self.settings.backbone
        # Not a whole Pretraining's: with several processes its norms would wait for the other ranks.
        backbone = load_frozen(f"random:{net.arch}:{net.stem}", run.seed).backbone.to(device)
        workers = self.settings.data.workers
        answers = random_weights(
            backbone, self.train, self.test, self.protocol, self.how, seed=run.seed, workers=workers
        )
        losses = {} if self.batch is None else self._fresh(runner.max_iters).to(device).held_out_losses(self.batch)
        self.random = answers, losses

    def _fresh(self, iterations: int) -> Pretraining:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.settings.run.seed)  # the CPU's alone, which all weights come from
            return Pretraining(settings=self.settings, iterations=iterations)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        """Look, say and write, when it is time."""
        done = batch_idx + 1
        if done % self.every and done != runner.max_iters:
            return
        values = self.look(runner.model)
        line = verdict(values)
        log.log(logging.WARNING if line.warns else logging.INFO, "[%d/%d] %s", done, runner.max_iters, line.text)
        self.out.append(done, values)
        runner.visualizer.add_scalars(values, step=done)

    def look(self, model: Pretraining) -> dict[str, float]:
        """`pretrain.probes.verdict.numbers` of the model as it is, and the losses of held-out images.

        Raises:
            InputError: its features are not finite, or an image can no longer be read.
        """
        assert self.random is not None
        answers, losses = self.random
        run, data = self.settings.run, self.settings.data
        probed = probe(
            model.backbone,
            self.train,
            self.test,
            self.protocol,
            self.how,
            seed=run.seed,
            workers=data.workers,
            linear=False,
        )
        values = numbers(probed.measured, answers)
        now = {} if self.batch is None else model.held_out_losses(self.batch)
        for name, loss in now.items():
            values[f"held_out_{name}"], values[f"held_out_{name}_random"] = loss, losses[name]
        return values


def online_objects(settings: Settings, plan: Plan, objects: tuple[Path, Path] | None) -> list[OnlineObjects]:
    """The hook where the settings ask for it, on rank 0; else none.

    Args:
        settings: of the run.
        plan: its images, folder and length.
        objects: a folder of images and COCO's annotation file.

    Raises:
        InputError: the one is there and the other is not, or the set cannot be used.
    """
    run = settings.run
    if not run.objects_every:
        if objects is not None:
            raise InputError("--objects: expected run.objects_every above 0, found 0; set it, or leave --objects out")
        return []
    if objects is None:
        raise InputError("run.objects_every: expected --objects IMAGES ANN.json, found none; add it or set it to 0")
    if ranks.rank() > 0:
        return []
    data = read_objects(*objects)
    train, test = parts_of(_at_most(data, run.seed), None, run.seed)
    per_epoch = BatchOrder(len(plan.source), settings.data.batch, 0, 0).batches_per_epoch
    hook = OnlineObjects(
        every=run.objects_every * per_epoch,
        train=train,
        test=test,
        held_out=_held_out(data, plan.source, settings.data.batch, run.seed),
        settings=settings,
        out=MetricsFile(plan.work_dir / NAME),
    )
    return [hook]


def _at_most(data: ObjectSet, seed: int) -> ObjectSet:
    """A random part of a large set's images, drawn from the seed alone."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(data.items))[:MOST_IMAGES]).tolist()
    return ObjectSet(
        data.images, data.annotations, data.classes, tuple(data.items[k] for k in chosen), data.fingerprint
    )


def _held_out(data: ObjectSet, source: Source, batch: int, seed: int) -> ImageFiles | None:
    """As many of the set's images as a batch has, of those that are not trained on; None where they are too few.

    None too where that cannot be known or asked: the training's images are no files of their own, or several processes
    train, whose losses are those of all of them together.
    """
    if not isinstance(source, ImageFiles) or ranks.world_size() > 1:
        return None
    trained_on = {path.resolve() for path in source.paths}
    paths: Sequence[Path] = [item.file for item in data.items if item.file.resolve() not in trained_on]
    if len(paths) < FEWEST_HELD_OUT:
        log.info("online objects: no loss of held-out images, %d of the set's are not trained on", len(paths))
        return None
    chosen = np.random.default_rng(seed).permutation(len(paths))[:batch].tolist()
    return ImageFiles(str(data.images), [paths[k] for k in chosen], data.fingerprint)
