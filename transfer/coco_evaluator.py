"""Detectron2's COCO and LVIS evaluators, which gather and write the detections; this project's engine measures them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectron2.evaluation import COCOEvaluator, LVISEvaluator
from detectron2.utils import comm

from transfer import detections, ground_truth
from transfer.engines import by_hotcoco
from transfer.measure import summarise
from transfer.record import FREQUENCIES, METRICS

FILE_NAME = "coco_instances_results.json"
LVIS_FILE_NAME = "lvis_instances_results.json"
# evaluator type -> what Detectron2 calls the file of detections
FILE_NAMES = {"coco": FILE_NAME, "lvis": LVIS_FILE_NAME, "pascal_voc": FILE_NAME}
Percents = dict[str, dict[str, float]]


class Evaluator(COCOEvaluator):
    """Measures a detector on a COCO-format set.

    pycocotools, which Detectron2 would use, takes minutes where hotcoco takes a second, and reports a detector that
    found nothing as not measured.
    """

    def __init__(self, dataset_name: str, tasks: tuple[str, ...], folder: Path) -> None:
        super().__init__(dataset_name, tasks, output_dir=str(folder), use_fast_impl=False)
        _keep_to_the_file(self)

    def evaluate(self, img_ids: Sequence[int] | None = None) -> Percents:
        """Write the detections and measure them.

        Returns:
            Task -> metric, and ``AP-CLASS`` for each class -> percent, NaN where there is nothing to measure, as
            Detectron2 logs it; empty in all processes but the first.
        """
        super().evaluate(img_ids)
        file = Path(self._output_dir) / FILE_NAME
        return percents(Path(self._metadata.json_file), file, self._tasks) if comm.is_main_process() else {}


class LvisEvaluator(LVISEvaluator):  # type: ignore[misc,unused-ignore]
    """Measures a detector on an LVIS set, by the same engine, which has LVIS's rules."""

    def __init__(self, dataset_name: str, tasks: tuple[str, ...], folder: Path) -> None:
        super().__init__(dataset_name, tasks, output_dir=str(folder))
        _keep_to_the_file(self)

    def evaluate(self) -> Percents:
        """Write the detections and measure them, as ``Evaluator`` does."""
        super().evaluate()
        file = Path(self._output_dir) / LVIS_FILE_NAME
        return percents(Path(self._metadata.json_file), file, self._tasks) if comm.is_main_process() else {}


def _keep_to_the_file(evaluator: Any) -> None:
    """Let one of Detectron2's evaluators end with its file of detections."""
    evaluator._do_evaluation = False
    # Which it would explain by missing annotations.
    evaluator._logger = logging.getLogger(f"{__name__}.detectron2")
    evaluator._logger.setLevel(logging.WARNING)


def percents(annotations: Path, results: Path, tasks: Sequence[str]) -> Percents:
    """Return what a file of detections is worth, as ``Evaluator.evaluate`` does."""
    truth = ground_truth.read(annotations)
    found = detections.read(results, truth, tasks)
    names = (*METRICS, *FREQUENCIES) if truth.frequency else METRICS
    told = {}
    for task in tasks:
        metrics, per_class = summarise(by_hotcoco(truth, found, task), truth)  # TIDE is for the record alone
        told[task] = {name: _number(metrics[name]) for name in names}
        told[task] |= {f"AP-{name}": _number(ap) for name, ap in per_class.items()}
    return told


def _number(value: float | None) -> float:
    return math.nan if value is None else value
