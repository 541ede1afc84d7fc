"""Measures a detector on a VOC set by Pascal's AP, and keeps its detections as a COCO results file."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from transfer import atomic, detections, ground_truth, pascal
from transfer.coco_evaluator import FILE_NAME
from transfer.objects import Objects

log = logging.getLogger(__name__)


class PascalEvaluator(DatasetEvaluator):
    """Pascal's AP of boxes: Detectron2's numbers, per class as well, and both definitions of AP in a file.

    The result is 11-point for a set of 2007 and the area under the curve otherwise, as Detectron2's is;
    ``pascal.json`` holds both. It is measured from the file of detections that stays, so that it can be had again.
    """

    def __init__(self, dataset: str, folder: Path) -> None:
        """Prepare for ``dataset``, a VOC set that ``transfer.splits`` registered; ``folder`` takes the files."""
        metadata = MetadataCatalog.get(dataset)
        self._annotations, self._year, self._folder = Path(metadata.json_file), metadata.year, folder
        self._found: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Forget all detections."""
        self._found = []

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Take the detections of a batch of images."""
        for entry, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to("cpu")
            # In float64 the corners can be had back from width and height to the last bit.
            corners = instances.pred_boxes.tensor.numpy().astype(np.float64)
            boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
            columns = (instances.pred_classes.tolist(), boxes.tolist(), instances.scores.tolist())
            self._found += [
                {"image_id": entry["image_id"], "category_id": number + 1, "bbox": box, "score": score}
                for number, box, score in zip(*columns, strict=True)
            ]

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Write the detections and measure them.

        Returns:
            Task -> metric -> percent in the first process, None in the others.
        """
        gathered = comm.gather(self._found, dst=0)
        if not comm.is_main_process():
            return None
        file = self._folder / FILE_NAME
        atomic.write_text(file, json.dumps([entry for part in gathered for entry in part]) + "\n")
        truth = ground_truth.read(self._annotations)
        eleven = self._year == 2007
        found = detections.read(file, truth, ["bbox"])
        matches = pascal.match(Objects(truth, "bbox"), found, eleven_point=eleven)
        both = {
            "11-point": pascal.summary(dataclasses.replace(matches, recalls=pascal.ELEVEN)),
            "all-point": pascal.summary(dataclasses.replace(matches, recalls=None)),
        }
        used = "11-point" if eleven else "all-point"
        content = {"used": used, **{name: _nulls(values) for name, values in both.items()}}
        atomic.write_text(self._folder / "pascal.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
        for name, values in both.items():
            shown = ", ".join(f"{key} {values[key]:.2f}" for key in ("AP", "AP50", "AP75"))
            log.info("PASCAL, %s%s: %s", name, " (reported)" if name == used else "", shown)
        return {"bbox": both[used]}


def _nulls(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in values.items()}
