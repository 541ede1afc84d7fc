"""What a fine-tuning run is worth, from the files it left: the measured half of its record."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from transfer import detections, ground_truth, metrics
from transfer.coco_evaluator import FILE_NAMES
from transfer.measure import PerTask, measure
from transfer.record import TASKS, Counts, Split, Tide

ENGINE = "hotcoco"
# A re-evaluation lies beside the run's own record, which stays as it is.
EVALUATION = "evaluation"


@dataclass(frozen=True)
class Outcome:
    """The fields of ``transfer.record.Record`` of the same names."""

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
        ground_truth.read(file)


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
    truth = ground_truth.read(Path(val.annotations))
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
    values, per_class = metrics.from_detectron2(found, tuple(val.classes))
    counts = Counts(val.n_images, val.n_instances, None, len(val.classes), None)
    return Outcome(engine, protocol, values, per_class, dict.fromkeys(TASKS), counts)
