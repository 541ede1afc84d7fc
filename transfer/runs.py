"""Finished runs, read from where they lie."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from transfer import results
from transfer.results import Record


def read_run(path: Path) -> Record:
    """Return the record of a run's folder (or the record file itself), ``detections`` as a path from here."""
    record = results.read(path)
    if record.detections is None:
        return record
    return dataclasses.replace(record, detections=str((path if path.is_dir() else path.parent) / record.detections))
