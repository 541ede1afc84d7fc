"""Detectron2's trainer, in which (seed, iteration) decides everything random, with this project's evaluation."""

from __future__ import annotations

import contextlib
import functools
import io
import random
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, HookBase, defaults
from detectron2.engine.hooks import EvalHook, PreciseBN
from detectron2.evaluation import DatasetEvaluator, inference_on_dataset, print_csv_format
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import EventWriter
from torch import nn

from transfer.data.labels import Labels
from transfer.errors import Interrupted
from transfer.finetuning import batches, checkpointer, evaluators, optimizer, weights
from transfer.finetuning.checkpointer import AtomicCheckpointer
from transfer.finetuning.evaluators import Evaluation
from transfer.finetuning.interrupt import Interrupt
from transfer.finetuning.tracking import Tracker, TrackingWriter


class Trainer(DefaultTrainer):
    """Detectron2's training loop, in which ``cfg.SEED`` alone decides initial heads, image order and augmentation.

    What the model draws (which proposals are trained on) is seeded anew for every iteration, and the images follow
    from their place in the order (``transfer.batches``): a resumed run goes on as if it had never stopped.

    Attributes:
        train_seconds: wall-clock seconds of the training loop, without evaluation.
        evaluate_seconds: those of all evaluations.
        evaluation: the last one.
        loader: the training batches; its ``files`` are those of the batch in work.
    """

    train_seconds = 0.0
    evaluate_seconds = 0.0
    evaluation: Evaluation

    def __init__(
        self,
        cfg: CfgNode,
        labels: Labels | None = None,
        *,
        channels_last: bool = False,
        interrupt: Interrupt | None = None,
        start: weights.InitialWeights | None = None,
        trackers: Sequence[Tracker] = (),
    ) -> None:
        """Build model, data and hooks.

        Args:
            cfg: the run's config.
            labels: the part of the training images whose labels are used; None for all.
            channels_last: keep the model's tensors in that memory format, which convolutions on GPUs may like better.
            interrupt: knows of a signal that asks for the end; None when nobody listens for one.
            start: the weights; None for the config's MODEL.WEIGHTS.
            trackers: runs of other programs that get the logged numbers too.
        """
        self.interrupt = interrupt or Interrupt()
        self._labels, self._channels_last, self._start = labels, channels_last, start
        self._data: batches.TrainSet | None = None
        self._trackers = trackers
        with cpu_processes(cfg):
            super().__init__(cfg)
        self.loader = self._trainer.data_loader
        self._trainer.model.register_forward_hook(_check_losses)

    def build_model(self, cfg: CfgNode) -> nn.Module:
        """Build the model; its initial weights depend on the seed and the architecture alone."""
        return initial_model(cfg, channels_last=self._channels_last)

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """Build the optimiser."""
        return optimizer.build(cfg, model)

    def build_train_loader(self, cfg: CfgNode) -> Any:
        """Build the training loader, from the first iteration on."""
        if self._data is None:
            self._data = batches.train_set(cfg, self._labels)
        return batches.train_loader(cfg, self._data)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        """Build the loader of a set to measure on."""
        return batches.test_loader(cfg, dataset_name)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """Return the evaluator that belongs to the data set."""
        return evaluators.build(cfg, dataset_name)

    def resume_or_load(self, resume: bool = True) -> None:
        """Load the last checkpoint when ``resume`` and there is one, else the weights; go to its place in the data."""
        if self._start is None or (resume and self.checkpointer.has_checkpoint()):
            super().resume_or_load(resume)
        else:
            weights.load(self.checkpointer.model, self.cfg, self._start)
        if self.start_iter and self._data is not None:
            self.loader = batches.train_loader(self.cfg, self._data, self.start_iter)
            self._trainer.data_loader = self.loader

    def build_hooks(self) -> list[Any]:
        """Return Detectron2's hooks, three of them replaced by what keeps and repeats more."""
        model = self._trainer.model
        self.checkpointer: DetectionCheckpointer = AtomicCheckpointer(
            model, self.cfg.OUTPUT_DIR, trainer=weakref.proxy(self)
        )
        return [*(self._mine(hook) for hook in super().build_hooks()), Stopping()]

    def build_writers(self) -> list[EventWriter]:
        """Return Detectron2's writers, and one for what ``--track`` names."""
        return [*super().build_writers(), *([TrackingWriter(self._trackers)] if self._trackers else [])]

    def _mine(self, hook: Any) -> Any:
        cfg = self.cfg
        if isinstance(hook, EvalHook):
            return Measuring(cfg.TEST.EVAL_PERIOD, self._measure)
        if isinstance(hook, PreciseBN) and self._data is not None:
            loader = batches.train_loader(cfg, self._data, workers=0)
            return SamePreciseBN(cfg.TEST.EVAL_PERIOD, self.model, loader, cfg.TEST.PRECISE_BN.NUM_ITER)
        return hook

    def _measure(self) -> dict[str, dict[str, float]]:
        self.evaluation, seconds = evaluate_model(self.cfg, self.model)
        self.evaluate_seconds += seconds
        results = self.evaluation.results
        if (
            self.iter + 1 < self.max_iter
        ):  # training goes on: it needs the memory, and this is not what will be recorded
            self.evaluation = Evaluation(results)
        return results

    def before_step(self) -> None:
        """Seed what the model draws in this iteration."""
        words = np.random.SeedSequence([self.cfg.SEED, self.iter, comm.get_rank(), 1]).generate_state(3)
        np.random.seed(int(words[0]))
        random.seed(int(words[1]))
        torch.manual_seed(int(words[2]))
        super().before_step()

    def train(self) -> None:
        """Train from ``start_iter`` to the end and evaluate."""
        start = time.perf_counter()
        try:
            with self.interrupt.deferred():
                super().train()
        finally:
            self.loader.close()
        self.train_seconds = time.perf_counter() - start - self.evaluate_seconds


class Measuring(EvalHook):  # type: ignore[misc,unused-ignore]
    """The evaluation, also of a checkpoint after which the run was ended before its evaluation was done.

    It can take minutes, so that a signal ends it at once; the iteration is finished by then, and is saved.
    """

    def _do_eval(self) -> None:
        try:
            with self.trainer.interrupt.deferred(wait=False):
                super()._do_eval()
        except Interrupted:
            save_now(self.trainer)
            raise

    def after_train(self) -> None:
        """Evaluate when training came to its end: after an error the model is in no state for it."""
        if self.trainer.iter >= self.trainer.max_iter:
            self._do_eval()
        del self._func  # it holds the trainer

    def before_train(self) -> None:
        """Evaluate when the run goes on at the end of an evaluation period."""
        start = self.trainer.start_iter
        if start and start < self.trainer.max_iter and self._period > 0 and start % self._period == 0:
            self.trainer.storage.iter = start - 1  # where its numbers belong
            self._do_eval()
            self.trainer.storage.iter = start


class Stopping(HookBase):  # type: ignore[misc,unused-ignore]
    """Ends training after the iteration in which a signal came, with a checkpoint."""

    def after_step(self) -> None:
        """Save and stop, in all processes in the same iteration."""
        if signum := self.trainer.interrupt.asked():
            save_now(self.trainer)
            raise Interrupted("interrupted", signum)


def save_now(trainer: Trainer) -> None:
    """Save the iteration that is done, unless it is saved."""
    done = min(trainer.iter, trainer.max_iter - 1)
    name = f"model_{done:07d}"
    if done < trainer.max_iter - 1 and checkpointer.last(Path(trainer.cfg.OUTPUT_DIR)) != f"{name}.pth":
        trainer.checkpointer.save(name, iteration=done)


class SamePreciseBN(PreciseBN):  # type: ignore[misc,unused-ignore]
    """PreciseBN on the same images each time: else its statistics tell how often it ran since the last restart."""

    def update_stats(self) -> None:
        """Update the model's running statistics, from the loader's beginning."""
        self._data_iter = None
        super().update_stats()


def _check_losses(module: nn.Module, inputs: Any, losses: Any) -> None:
    """Stop in the process, and in the iteration, whose loss is not finite, before it reaches the weights."""
    if not module.training or not isinstance(losses, dict):
        return
    if not torch.isfinite(torch.stack([loss.detach() for loss in losses.values()])).all():  # one wait for the device
        values = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
        raise FloatingPointError(values)


@contextlib.contextmanager
def cpu_processes(cfg: CfgNode) -> Iterator[None]:
    """Let several processes train on the CPU: Detectron2 names a device for each, which torch takes for GPUs only."""
    wrap = defaults.create_ddp_model
    if not cfg.MODEL.DEVICE.startswith("cuda"):
        defaults.create_ddp_model = functools.partial(wrap, device_ids=None)
    try:
        yield
    finally:
        defaults.create_ddp_model = wrap


def initial_model(cfg: CfgNode, *, channels_last: bool = False) -> nn.Module:
    """Build the model of a config; its initial weights depend on the seed and the architecture alone."""
    seed_all_rng(cfg.SEED)
    model: nn.Module = build_model(cfg)
    return model.to(memory_format=torch.channels_last) if channels_last else model  # type: ignore[call-overload]


def evaluate_model(cfg: CfgNode, model: nn.Module) -> tuple[Evaluation, float]:
    """Evaluate ``model`` on ``DATASETS.TEST``.

    Returns:
        (what the evaluation gave, wall-clock seconds).
    """
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what the log and the record say as well
        (name,) = cfg.DATASETS.TEST
        Path(cfg.OUTPUT_DIR, "inference").mkdir(parents=True, exist_ok=True)
        evaluator = evaluators.build(cfg, name)
        with contextlib.closing(batches.test_loader(cfg, name)) as loader:
            results = inference_on_dataset(model, loader, evaluator)
        if comm.is_main_process():
            print_csv_format(results)
    evaluation = getattr(evaluator, "evaluation", None) or Evaluation(dict(results or {}))
    return evaluation, time.perf_counter() - start
