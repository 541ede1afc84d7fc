"""Detectron2's trainer with this project's evaluation and seeding."""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultTrainer
from detectron2.engine.hooks import EvalHook
from detectron2.evaluation import DatasetEvaluator
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from torch import nn

from transfer.coco_evaluator import Evaluator
from transfer.errors import InputError
from transfer.voc_evaluator import VocEvaluator


class Trainer(DefaultTrainer):
    """Detectron2's training loop, in which ``cfg.SEED`` alone decides initial heads, image order and augmentation.

    Each of them is seeded where it starts, so that nothing before it, such as reading weights, can shift it.

    Attributes:
        train_seconds: wall-clock seconds of the training loop, without evaluation.
        evaluate_seconds: those of all evaluations.
        results: the last evaluation's: task -> metric -> percent.
    """

    train_seconds = 0.0
    evaluate_seconds = 0.0
    results: dict[str, dict[str, float]]

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Build the model; its initial weights depend on the seed and the architecture alone."""
        seed_all_rng(cfg.SEED)
        return build_model(cfg)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        """Build the training loader; the order of the images depends on the seed and their number alone."""
        seed_all_rng(cfg.SEED)  # Detectron2's sampler draws its own seed from numpy
        return super().build_train_loader(cfg)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """Return the evaluator that belongs to the data set; it writes below ``OUTPUT_DIR/inference``."""
        kind = MetadataCatalog.get(dataset_name).evaluator_type
        if kind == "pascal_voc":
            return VocEvaluator(dataset_name)
        if kind != "coco":
            raise InputError(f"data set {dataset_name}: expected one measured as COCO or PASCAL VOC, found {kind}")
        tasks = ("bbox", "segm") if cfg.MODEL.MASK_ON else ("bbox",)
        return Evaluator(dataset_name, tasks, Path(cfg.OUTPUT_DIR) / "inference")

    def build_hooks(self) -> list[Any]:
        """Return Detectron2's hooks, with an evaluation that keeps its results and its time."""
        measuring = EvalHook(self.cfg.TEST.EVAL_PERIOD, self._measure)
        return [measuring if isinstance(hook, EvalHook) else hook for hook in super().build_hooks()]

    def _measure(self) -> dict[str, dict[str, float]]:
        self.results, seconds = measure(self.cfg, self.model)
        self.evaluate_seconds += seconds
        return self.results

    def train(self) -> None:
        """Train from ``start_iter`` to the end and evaluate."""
        seed_all_rng(self.cfg.SEED + 1 + comm.get_rank())
        start = time.perf_counter()
        super().train()
        self.train_seconds = time.perf_counter() - start - self.evaluate_seconds


def measure(cfg: CfgNode, model: nn.Module) -> tuple[dict[str, dict[str, float]], float]:
    """Evaluate ``model`` on ``DATASETS.TEST``.

    Returns:
        (task -> metric -> percent, NaN where not measured; wall-clock seconds).
    """
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what the log and the record say as well
        found: dict[str, dict[str, float]] = Trainer.test(cfg, model)
    return found, time.perf_counter() - start
