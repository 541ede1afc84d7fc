"""What a fine-tuning run is worth, from the files it left: the measured half of its record."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from transfer.evaluation import detections, ground_truth
from transfer.evaluation.measure import PerTask, measure
from transfer.finetuning.evaluators import FILE_NAMES
from transfer.records.record import ALL_METRICS, TASKS, Counts, Split, Tide

ENGINE = "hotcoco"
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


def read(cfg: CfgNode, val: Split, found: dict[str, dict[str, float]]) -> Outcome:
    """Return what the run in ``OUTPUT_DIR`` is worth.

    Args:
        cfg: the run's config.
        val: what it was measured on.
        found: what the evaluator returned, which is all there is of a set that is not measured from a file.
    """
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    kind = metadata.get("evaluator_type")
    if kind not in FILE_NAMES:
        return _told(f"detectron2 {kind}", "cityscapes", val, found)
    file = Path("inference") / FILE_NAMES[kind]
    truth = ground_truth.read(Path(val.annotations), tuple(found))
    detected = detections.read(Path(cfg.OUTPUT_DIR) / file, truth, tuple(found))
    if kind == "pascal_voc":
        # Pascal's definition of AP changed once, after 2007.
        told = _told("pascal", "voc2007" if metadata.year == 2007 else "voc2012", val, found)
        counts = dataclasses.replace(told.counts, detections=len(detected))
        return dataclasses.replace(told, counts=counts, detections=str(file), detections_sha256=detected.sha256)
    measured = measure(truth, detected, ENGINE)
    return Outcome(
        engine=ENGINE,
        protocol=truth.protocol,
        metrics=measured.metrics,
        per_class=measured.per_class,
        tide=measured.tide,
        counts=truth.counts(len(detected)),
        detections=str(file),
        detections_sha256=detected.sha256,
    )


def _told(engine: str, protocol: str, val: Split, found: dict[str, dict[str, float]]) -> Outcome:
    """Return what the evaluator of a set told, and nothing more."""
    values, per_class = from_detectron2(found, tuple(val.classes))
    counts = Counts(val.n_images, val.n_instances, None, len(val.classes), None)
    return Outcome(engine, protocol, values, per_class, dict.fromkeys(TASKS), counts)


def from_detectron2(results: Mapping[str, Mapping[str, float]], classes: tuple[str, ...]) -> tuple[PerTask, PerTask]:
    """Return (metrics, AP per class) as ``transfer.records.record_file.Record`` holds them.

    Args:
        results: task -> metric -> percent; -1 or NaN where there was nothing to measure, "AP-NAME" for each class.
        classes: class names; Detectron2 leaves out the AP of a single class, which is the task's AP.
    """
    metrics: PerTask = {}
    per_class: PerTask = {}
    for task in TASKS:
        found = results.get(task, {})
        metrics[task] = {name: percent(found.get(name)) for name in ALL_METRICS}
        names = classes if found else ()
        per_class[task] = {name: percent(found.get("AP" if len(classes) == 1 else f"AP-{name}")) for name in names}
    return metrics, per_class


def percent(value: float | None) -> float | None:
    """Return ``value``, or None when it stands for "not measured" (-1, NaN)."""
    return None if value is None or math.isnan(value) or value < 0 else float(value)
