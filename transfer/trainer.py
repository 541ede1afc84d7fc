"""Detectron2's trainer with this project's evaluation, seeding and log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator, PascalVOCDetectionEvaluator
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from torch import nn

from transfer.errors import InputError


class Trainer(DefaultTrainer):
    """Detectron2's default training loop, in which ``cfg.SEED`` alone decides heads, image order and augmentation.

    Each of the three is seeded at its own start. What happened before it, reading weights above all, cannot shift it.

    Attributes:
        train_seconds: wall-clock seconds of the training loop without evaluation.
        evaluate_seconds: those of the evaluations.
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(cfg)
        self.train_seconds = 0.0
        self.evaluate_seconds = 0.0
        self.results: dict[str, Any] = {}

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Build the model; its initial weights depend on the seed and the architecture alone."""
        seed_all_rng(cfg.SEED)
        return build_model(cfg)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        """Build the training loader; the order of the images depends on the seed and their number alone."""
        seed_all_rng(cfg.SEED)  # Detectron2's sampler draws its own seed from numpy, rank 0's for all
        return super().build_train_loader(cfg)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """Return the evaluator that belongs to the data set."""
        return evaluator(cfg, dataset_name)

    def train(self) -> None:
        """Train from ``start_iter`` to the end and evaluate."""
        seed_all_rng(self.cfg.SEED + 1 + comm.get_rank())
        start = time.perf_counter()
        super().train()
        self.train_seconds = time.perf_counter() - start - self.evaluate_seconds


def evaluator(cfg: CfgNode, name: str) -> DatasetEvaluator:
    """Return the evaluator of the registered data set ``name``; it writes below ``OUTPUT_DIR/inference``."""
    metadata = MetadataCatalog.get(name)
    if metadata.evaluator_type == "pascal_voc":
        return PascalVOCDetectionEvaluator(name)
    tasks = ("bbox", "segm") if cfg.MODEL.MASK_ON else ("bbox",)
    # Detectron2's compiled evaluation is absent from the pure-Python wheel, and pycocotools is the reference anyway.
    return COCOEvaluator(name, tasks, output_dir=str(Path(cfg.OUTPUT_DIR) / "inference"), use_fast_impl=False)
