"""What a fine-tuning run is worth, from its last evaluation: the measured half of its record."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from transfer.evaluation import ground_truth
from transfer.evaluation.measure import PerTask, error_costs
from transfer.finetuning.evaluators import ENGINE, FILE_NAMES, Evaluation, Percents
from transfer.records.record import ALL_METRICS, TASKS, Counts, Split, Tide

# A re-evaluation lies beside the run's own record, which stays as it is.
EVALUATION = "evaluation"


@dataclass(frozen=True)
class Outcome:
    """The fields of ``transfer.records.record.Record`` of the same names."""

    engine: str
    protocol: str
    metrics: PerTask
    per_class: PerTask
    tide: dict[str, Tide | None]
    counts: Counts
    detections: str | None = None
    detections_sha256: str | None = None


def check(cfg: CfgNode, val: Split) -> None:
    """Read the ground truth before hours are spent, as it will be read after them.

    Raises:
        InputError: nothing can be measured on it.
    """
    file = Path(val.annotations)  # that of a VOC folder is only written when the run begins
    if MetadataCatalog.get(cfg.DATASETS.TEST[0]).get("evaluator_type") in FILE_NAMES and file.is_file():
        ground_truth.read(file, _tasks(cfg))


def _tasks(cfg: CfgNode) -> tuple[str, ...]:
    return ("bbox", "segm") if cfg.MODEL.MASK_ON else ("bbox",)


def read(cfg: CfgNode, val: Split, evaluation: Evaluation) -> Outcome:
    """Return what a run is worth, from its last evaluation; nothing is measured a second time.

    Args:
        cfg: the run's config.
        val: what it was measured on.
        evaluation: of the finished detector, in the first process.
    """
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    kind = metadata.get("evaluator_type")
    truth, detected = evaluation.truth, evaluation.detections
    if truth is None or detected is None:
        return _from_results(f"detectron2 {kind}", "cityscapes", val, evaluation.results)
    file = str(detected.file.relative_to(cfg.OUTPUT_DIR))
    if evaluation.metrics is None:
        # Pascal's definition of AP changed once, after 2007.
        protocol = "voc2007" if metadata.year == 2007 else "voc2012"
        measured = _from_results("pascal", protocol, val, evaluation.results)
        counts = dataclasses.replace(measured.counts, detections=len(detected))
        return dataclasses.replace(measured, counts=counts, detections=file, detections_sha256=detected.sha256)
    metrics, per_class = evaluation.metrics
    return Outcome(
        engine=ENGINE,
        protocol=truth.protocol,
        metrics=metrics,
        per_class=per_class,
        tide=error_costs(truth, detected),
        counts=truth.counts(len(detected)),
        detections=file,
        detections_sha256=detected.sha256,
    )


def _from_results(engine: str, protocol: str, val: Split, results: Percents) -> Outcome:
    """Return what the evaluator of a set returned, and nothing more."""
    metrics, per_class = from_detectron2(results, tuple(val.classes))
    counts = Counts(val.n_images, val.n_instances, None, len(val.classes), None)
    return Outcome(engine, protocol, metrics, per_class, dict.fromkeys(TASKS), counts)


def from_detectron2(results: Mapping[str, Mapping[str, float]], classes: tuple[str, ...]) -> tuple[PerTask, PerTask]:
    """Return (metrics, AP per class) as ``transfer.records.record.Record`` holds them.

    Args:
        results: task -> metric -> percent; -1 or NaN where there was nothing to measure, "AP-NAME" for each class.
        classes: class names; Detectron2 leaves out the AP of a single class, which is the task's AP.
    """
    metrics: PerTask = {}
    per_class: PerTask = {}
    for task in TASKS:
        values = results.get(task, {})
        metrics[task] = {name: percent(values.get(name)) for name in ALL_METRICS}
        names = classes if values else ()
        per_class[task] = {name: percent(values.get("AP" if len(classes) == 1 else f"AP-{name}")) for name in names}
    return metrics, per_class


def percent(value: float | None) -> float | None:
    """Return ``value``, or None when it stands for "not measured" (-1, NaN)."""
    return None if value is None or math.isnan(value) or value < 0 else float(value)
