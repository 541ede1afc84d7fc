"""What a fine-tuning run is worth, from the files it left: the measured half of its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from transfer import detections, ground_truth, metrics
from transfer.coco_evaluator import FILE_NAME
from transfer.measure import PerTask, measure
from transfer.record import TASKS, Counts, Split, Tide

ENGINE = "hotcoco"


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
    file = Path(val.annotations)  # that of VOC masks is only written when the run begins
    if MetadataCatalog.get(cfg.DATASETS.TEST[0]).get("evaluator_type") == "coco" and file.is_file():
        ground_truth.read(file)


def read(cfg: CfgNode, val: Split, found: dict[str, dict[str, float]]) -> Outcome:
    """Return what the run in ``OUTPUT_DIR`` is worth.

    Args:
        cfg: the run's config.
        val: what it was measured on.
        found: what the evaluator returned, which is all there is of a set that is not measured as COCO.
    """
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    if metadata.get("evaluator_type") != "coco":
        values, per_class = metrics.from_detectron2(found, tuple(val.classes))
        counts = Counts(val.n_images, val.n_instances, None, len(val.classes), None)
        nothing: dict[str, Tide | None] = dict.fromkeys(TASKS)
        engine, protocol = _rules(metadata.get("evaluator_type"), metadata.get("year"))
        return Outcome(engine, protocol, values, per_class, nothing, counts)
    file = Path("inference") / FILE_NAME
    truth = ground_truth.read(Path(val.annotations))
    detected = detections.read(Path(cfg.OUTPUT_DIR) / file, truth, tuple(found))
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


def _rules(kind: str, year: int | None) -> tuple[str, str]:
    """Return engine and protocol of a set that is not measured as COCO."""
    if kind == "pascal_voc":  # the definition of AP changed once, after 2007
        return "pascal", "voc2007" if year == 2007 else "voc2012"
    return f"detectron2 {kind}", {"lvis": "lvis", "cityscapes_instance": "cityscapes"}[kind]
