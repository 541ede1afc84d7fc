"""Detectron2's COCO and LVIS evaluators, which gather and write the detections; this project's engine measures them."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation import CityscapesInstanceEvaluator, DatasetEvaluator, LVISEvaluator
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.utils import comm

from transfer.data.splits import check_installed
from transfer.errors import InputError
from transfer.evaluation import detections, ground_truth, pascal
from transfer.evaluation.detections import Detections
from transfer.evaluation.ground_truth import GroundTruth
from transfer.evaluation.measure import PerTask, average_precisions
from transfer.evaluation.objects import Objects
from transfer.files import atomic
from transfer.records.record import FREQUENCIES, METRICS

log = logging.getLogger(__name__)

ENGINE = "hotcoco"
FILE_NAME = "coco_instances_results.json"
LVIS_FILE_NAME = "lvis_instances_results.json"
# evaluator type -> what Detectron2 calls the file of detections
FILE_NAMES = {"coco": FILE_NAME, "lvis": LVIS_FILE_NAME, "pascal_voc": FILE_NAME}
Percents = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation of a detector gave, in the first process; nothing in the others.

    Attributes:
        results: task -> metric, and ``AP-CLASS`` for each class -> percent, NaN where there is nothing to measure, as
            Detectron2 logs it.
        truth: what was to be found; None, as all that follows, where another program measured its own files.
        detections: what was found, as it was read back from the file that stays.
        metrics: (metrics, AP per class) of a COCO or LVIS set; None for another.
    """

    results: Percents
    truth: GroundTruth | None = None
    detections: Detections | None = None
    metrics: tuple[PerTask, PerTask] | None = None


def _measure(annotations: Path, file: Path, tasks: tuple[str, ...]) -> Evaluation:
    """Measure a file of detections, by this project's engine."""
    truth = ground_truth.read(annotations, tasks)
    detected = detections.read(file, truth, tasks)
    metrics, per_class = average_precisions(truth, detected, ENGINE)  # TIDE is for the record alone
    names = (*METRICS, *FREQUENCIES) if truth.frequency else METRICS
    results = {task: {name: _number(metrics[task][name]) for name in names} for task in tasks}
    for task in tasks:
        results[task] |= {f"AP-{name}": _number(ap) for name, ap in per_class[task].items()}
    return Evaluation(results, truth, detected, (metrics, per_class))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


class Evaluator(DatasetEvaluator):
    """Measures a detector on a COCO-format set.

    Detectron2's own reads the annotations with pycocotools, which takes minutes to measure where hotcoco takes a
    second, and reports a detector that found nothing as not measured.
    """

    evaluation = Evaluation({})

    def __init__(self, dataset_name: str, tasks: tuple[str, ...], folder: Path) -> None:
        """Prepare for ``dataset_name``, a set that Detectron2 knows; ``folder`` takes the detections."""
        self._annotations = Path(MetadataCatalog.get(dataset_name).json_file)
        self._tasks, self._folder = tasks, folder
        self._detected: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Forget all detections."""
        self._detected = []

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Take the detections of a batch of images."""
        for entry, output in zip(inputs, outputs, strict=True):
            self._detected += instances_to_coco_json(output["instances"].to("cpu"), entry["image_id"])

    def evaluate(self) -> Percents:
        """Write the detections, under the ids of the annotation file, and measure them; more is in ``evaluation``."""
        gathered = comm.gather(self._detected, dst=0)
        if comm.is_main_process():
            ids = ground_truth.read(self._annotations, self._tasks).category_ids
            entries = [{**entry, "category_id": ids[entry["category_id"]]} for part in gathered for entry in part]
            atomic.write_text(self._folder / FILE_NAME, json.dumps(entries))
            self.evaluation = _measure(self._annotations, self._folder / FILE_NAME, self._tasks)
        return self.evaluation.results


class LvisEvaluator(LVISEvaluator):  # type: ignore[misc,unused-ignore]
    """Measures a detector on an LVIS set, by the same engine, which has LVIS's rules."""

    evaluation = Evaluation({})

    def __init__(self, dataset_name: str, tasks: tuple[str, ...], folder: Path) -> None:
        super().__init__(dataset_name, tasks, output_dir=str(folder))
        self._do_evaluation = False  # it ends with its file of detections
        # Which it would explain by missing annotations.
        self._logger = logging.getLogger(f"{__name__}.detectron2")
        self._logger.setLevel(logging.WARNING)

    def evaluate(self) -> Percents:
        """Write the detections and measure them; more is in ``evaluation``."""
        super().evaluate()
        if comm.is_main_process():
            file = Path(self._output_dir) / LVIS_FILE_NAME
            self.evaluation = _measure(Path(self._metadata.json_file), file, self._tasks)
        return self.evaluation.results


def build(cfg: CfgNode, dataset: str) -> DatasetEvaluator:
    """Return the evaluator that belongs to the data set; it writes below ``OUTPUT_DIR/inference``.

    Raises:
        InputError: a data set that none here belongs to, or a package that is missing.
    """
    kind = MetadataCatalog.get(dataset).get("evaluator_type")
    folder = Path(cfg.OUTPUT_DIR) / "inference"
    check_installed(kind, dataset)
    if kind == "pascal_voc":
        return PascalEvaluator(dataset, folder)
    if kind == "cityscapes_instance":
        return CityscapesEvaluator(dataset)
    tasks = ("bbox", "segm") if cfg.MODEL.MASK_ON else ("bbox",)
    if kind == "lvis":
        return LvisEvaluator(dataset, tasks, folder)
    if kind != "coco":
        raise InputError(
            f"data set {dataset}: expected one measured as COCO, PASCAL VOC, LVIS or Cityscapes instances, found {kind}"
        )
    return Evaluator(dataset, tasks, folder)


@contextmanager
def former_numpy() -> Iterator[None]:
    """Give NumPy back a name that it took away and cityscapesScripts' newest version still asks for."""
    lacking = "in1d" not in vars(np)
    if lacking:
        setattr(np, "in1d", np.isin)  # noqa: B010  mypy knows that NumPy has no such name
    try:
        yield
    finally:
        if lacking:
            delattr(np, "in1d")


class CityscapesEvaluator(CityscapesInstanceEvaluator):  # type: ignore[misc,unused-ignore]
    """Detectron2's Cityscapes evaluator, which also runs under today's NumPy."""

    def evaluate(self) -> Any:
        """Return task -> metric -> percent."""
        module: Any = importlib.import_module("cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling")
        write = module.writeDict2JSON
        # It writes all matches to the current folder, and cannot: NumPy's counts are no Python numbers since 2.3.
        module.writeDict2JSON = lambda content, file: None
        try:
            with former_numpy():
                return super().evaluate()
        finally:
            module.writeDict2JSON = write


class PascalEvaluator(DatasetEvaluator):
    """Pascal's AP of boxes: Detectron2's numbers, per class as well, and both definitions of AP in a file.

    The result is 11-point for a set of 2007 and the area under the curve otherwise, as Detectron2's is;
    ``pascal.json`` holds both. It is measured from the file of detections that stays, so that it can be had again.
    """

    evaluation = Evaluation({})

    def __init__(self, dataset: str, folder: Path) -> None:
        """Prepare for ``dataset``, a VOC set that ``transfer.data.splits`` registered; ``folder`` takes the files."""
        metadata = MetadataCatalog.get(dataset)
        self._annotations, self._year, self._folder = Path(metadata.json_file), metadata.year, folder
        self._entries: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Forget all detections."""
        self._entries = []

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Take the detections of a batch of images."""
        for entry, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to("cpu")
            # In float64 the corners can be had back from width and height to the last bit.
            corners = instances.pred_boxes.tensor.numpy().astype(np.float64)
            boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
            columns = (instances.pred_classes.tolist(), boxes.tolist(), instances.scores.tolist())
            self._entries += [
                {"image_id": entry["image_id"], "category_id": number + 1, "bbox": box, "score": score}
                for number, box, score in zip(*columns, strict=True)
            ]

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Write the detections and measure them.

        Returns:
            Task -> metric -> percent in the first process, None in the others.
        """
        gathered = comm.gather(self._entries, dst=0)
        if not comm.is_main_process():
            return None
        file = self._folder / FILE_NAME
        atomic.write_text(file, json.dumps([entry for part in gathered for entry in part]) + "\n")
        truth = ground_truth.read(self._annotations, ["bbox"])
        eleven = self._year == 2007
        detected = detections.read(file, truth, ["bbox"])
        matches = pascal.match(Objects(truth, "bbox"), detected, eleven_point=eleven)
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
        self.evaluation = Evaluation({"bbox": both[used]}, truth, detected)
        return self.evaluation.results


def _nulls(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in values.items()}
