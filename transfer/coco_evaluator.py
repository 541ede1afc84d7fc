"""Detectron2's COCO evaluator, which gathers and writes the detections, with this project's engine to measure them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

from detectron2.evaluation import COCOEvaluator
from detectron2.utils import comm

from transfer import detections, ground_truth
from transfer.measure import measure
from transfer.record import METRICS

FILE_NAME = "coco_instances_results.json"


class Evaluator(COCOEvaluator):
    """Measures a detector on a COCO-format set.

    pycocotools, which Detectron2 would use, takes minutes where hotcoco takes a second, and reports a detector that
    found nothing as not measured.
    """

    def __init__(self, dataset_name: str, tasks: tuple[str, ...], folder: Path) -> None:
        super().__init__(dataset_name, tasks, output_dir=str(folder), use_fast_impl=False)
        self._do_evaluation = False  # nor any other of its own: it ends with the file of detections
        # Which it would explain by missing annotations.
        self._logger = logging.getLogger(f"{__name__}.detectron2")
        self._logger.setLevel(logging.WARNING)

    def evaluate(self, img_ids: Sequence[int] | None = None) -> dict[str, dict[str, float]]:
        """Write the detections and measure them.

        Returns:
            Task -> metric, and ``AP-CLASS`` for each class -> percent, NaN where there is nothing to measure, as
            Detectron2 logs it; empty in all processes but the first.
        """
        super().evaluate(img_ids)
        if not comm.is_main_process():
            return {}
        truth = ground_truth.read(Path(self._metadata.json_file))
        found = measure(truth, detections.read(Path(self._output_dir) / FILE_NAME, truth, self._tasks))
        return {
            task: {name: _number(found.metrics[task][name]) for name in METRICS}
            | {f"AP-{name}": _number(ap) for name, ap in found.per_class[task].items()}
            for task in self._tasks
        }


def _number(value: float | None) -> float:
    return math.nan if value is None else value
