"""Published results, to stand beside ours only where detector, data and schedule are the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from transfer.records.record import Record

VERIFIED, MEMORY = "verified", "from memory"
_SHORT = 0.98  # of a schedule's images: a run that saw fewer is not that schedule


@dataclass(frozen=True)
class PublishedDetector:
    """One published detector.

    Attributes:
        name: the pretraining, as its authors call it.
        source: where the numbers were read.
        data: "COCO 2017" or "VOC 07+12".
        detector: a config's name without data and schedule, e.g. "mask_rcnn_R_50_FPN".
        schedule: "1x", "2x" or "24k".
        status: VERIFIED (read at the source) or MEMORY.
        metrics: task -> AP, AP50, AP75 in percent, null where not printed; null for a task not measured.
        note: what else has to be known, "" for nothing.
    """

    name: str
    source: str
    data: str
    detector: str
    schedule: str
    status: str
    metrics: dict[str, dict[str, float | None] | None]
    note: str

    @property
    def protocol(self) -> str:
        """Data, detector and schedule in one."""
        return f"{self.data}, {self.detector}, {self.schedule}"


@dataclass(frozen=True)
class PublishedFeatures:
    """One published classification result of frozen features: data -> "linear" or "knn" -> top-1 in percent."""

    name: str
    source: str
    backbone: str
    status: str
    accuracy: dict[str, dict[str, float]]


@cache
def _content() -> dict[str, Any]:
    text = resources.files("transfer.reporting").joinpath("published.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def rows() -> list[PublishedDetector]:
    """Return every published detector."""
    return [PublishedDetector(**row) for row in _content()["detection"]]


def frozen_rows() -> list[PublishedFeatures]:
    """Return every published frozen-feature result."""
    return [PublishedFeatures(**row) for row in _content()["frozen"]]


def beside(records: list[Record]) -> list[PublishedDetector]:
    """Return the rows of the runs' own detector, data and schedule: what may stand in one table with them."""
    return [row for row in rows() if all(_same(row, record) for record in records)]


def _same(row: PublishedDetector, record: Record) -> bool:
    if record.config is None or record.data.train is None or record.schedule is None or record.label_fraction != 1:
        return False
    data = _content()["data"][row.data]
    passes = _content()["image_passes"][row.data][row.schedule]
    # Configs are named DATA_DETECTOR_SCHEDULE; overrides can still change what is behind a name, hence the rest.
    return (
        row.detector in Path(record.config.file).stem
        and Path(record.config.file).stem.endswith(row.schedule)
        and record.data.train.n_images in data["train_images"]
        and record.data.val.n_images == data["val_images"]
        and len(record.data.val.classes) == data["classes"]
        and _SHORT <= record.schedule.max_iter * record.schedule.batch / passes <= 1 / _SHORT
    )
