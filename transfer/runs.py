"""Finished runs, read from where they lie."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from transfer import results
from transfer.results import Record


def read_run(path: Path) -> Record:
    """Return the record of a run's folder (or the record file itself), its files as paths from here.

    ``detections`` lie below the folder; so does a ground truth that was made for the run, of a VOC folder, wherever the
    run has been moved to.
    """
    record = results.read(path)
    folder = path if path.is_dir() else path.parent
    val = record.data.val
    own = folder / Path(val.annotations).name
    if not Path(val.annotations).is_file() and own.is_file():
        data = dataclasses.replace(record.data, val=dataclasses.replace(val, annotations=str(own)))
        record = dataclasses.replace(record, data=data)
    if record.detections is None:
        return record
    return dataclasses.replace(record, detections=str(folder / record.detections))
