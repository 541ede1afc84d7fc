"""A report's folder: which files it holds, what may stand there already, and how all of them are written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from transfer.errors import InputError
from transfer.files.atomic import write_bytes, write_text
from transfer.records import record_file
from transfer.records.record import Record

PAGE, TEXT, CSV, LATEX, RESULTS, PICTURE = (
    "report.html", "report.md", "report.csv", "table.tex", "results.json", "detections.png",
)  # fmt: skip

# What lies beside the page, and what for.
BESIDE = {
    CSV: "every metric, for a spreadsheet",
    RESULTS: "the records, for programs",
    TEXT: "for a repository",
    LATEX: "for a paper",
    PICTURE: "the random images",
}


def check_out(out: Path, records: list[Record]) -> None:
    """Check that ``out`` is new, empty, or holds a report on these very runs.

    Raises:
        InputError: it holds something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        content = json.loads((out / RESULTS).read_text(encoding="utf-8"))
        there = {_identity(record_file.from_json(entry, str(out / RESULTS))) for entry in content}
    except (OSError, ValueError, TypeError) as error:  # InputError is a ValueError
        raise InputError(
            f"{out} is taken: expected a new folder or an earlier report, found {error}; name another or use --force"
        ) from None
    if there != {_identity(record) for record in records}:
        names = ", ".join(sorted(identity[0] for identity in there))
        raise InputError(
            f"{out} is taken: expected a report on the same runs, found one on {names}; name another or use --force"
        )


def _identity(record: Record) -> tuple[Any, ...]:
    """Return what makes this run itself, whatever it measured: run again, it may take its own place."""
    weights = record.weights.sha256 if record.weights else None
    iterations = record.schedule.max_iter if record.schedule else None
    return record.name, record.init, record.seed, weights, iterations, record.data.val.fingerprint


def records_text(out: Path, records: list[Record]) -> str:
    """Return the records as one JSON list, paths relative to where this copy lies."""
    content = []
    for record in records:
        entry = record_file.to_json(record)
        if record.detections is not None:
            entry["detections"] = os.path.relpath(record.detections, out)
        content.append(entry)
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def write(out: Path, files: dict[str, str], png: bytes | None) -> None:
    """Write the report's files; everything is computed by now, and each file is replaced in one step.

    Raises:
        InputError: ``out`` cannot be written.
    """
    try:
        if png is None:
            (out / PICTURE).unlink(missing_ok=True)  # an earlier report's would be another's picture
        else:
            write_bytes(out / PICTURE, png)
        for name, text in files.items():
            write_text(out / name, text)
    except OSError as error:
        raise InputError(f"{out}: expected a folder that can be written, found {error}; name another") from None
