"""``python -m transfer report RUN ... --out DIR``: finished runs in, a page, the records and a picture out."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from transfer import results
from transfer.atomic import write_bytes, write_text
from transfer.compare import BASELINE, check_comparable, group
from transfer.errors import InputError
from transfer.gallery import Choice, gallery
from transfer.markdown import Picture, Stage, headline, report, words
from transfer.results import Record

REPORT, RESULTS, PICTURE = "report.md", "results.json", "detections.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help=f"folder with a {results.FILE_NAME}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write the report to")
    parser.add_argument("--baseline", metavar="NAME", help=f"start to compare with (default: {BASELINE}, if present)")
    parser.add_argument("--stages", type=Path, metavar="FILE", help="JSON list of {stage, seconds, command} to show")
    parser.add_argument("--images", type=int, default=6, metavar="N", help="images in the picture (default 6)")
    parser.add_argument("--score", type=float, default=0.5, metavar="S", help="least score drawn, 0-1 (default 0.5)")
    parser.add_argument("--picture-seed", type=int, default=0, metavar="N", help="chooses the images (default 0)")
    parser.add_argument("--force", action="store_true", help="replace a report on other runs")


def run(args: argparse.Namespace) -> int:
    """Write the report, everything or nothing; print the table and the paths last.

    Raises:
        InputError: a run cannot be read, runs cannot be compared, or ``--out`` holds something else.
    """
    if args.images < 1 or not 0 <= args.score <= 1 or args.picture_seed < 0:
        found = f"{args.images}, {args.score}, {args.picture_seed}"
        raise InputError(f"--images, --score, --picture-seed: expected 1 or more, 0-1, 0 or more, found {found}")
    records = [read_run(path) for path in args.runs]
    check_comparable(records)
    groups = group(records, args.baseline)
    baseline = groups[0] if groups[0].init == (args.baseline or BASELINE) else None
    stages = read_stages(args.stages) if args.stages else []
    if not args.force:
        check_out(args.out, records)
    png, text = gallery(groups, Choice(args.images, args.score, args.picture_seed))
    page = report(groups, baseline, stages, Picture(PICTURE if png else None, text))
    write(args.out, page, records, png)
    if png is None:
        print(f"transfer report: {text}", file=sys.stderr)
    print("\n".join([*words(groups, baseline), "", headline(groups, baseline), ""]).replace("**", ""))
    for name in (REPORT, RESULTS, *([PICTURE] if png else [])):
        print(args.out / name)
    return 0


def read_run(path: Path) -> Record:
    """Return the record of a run's folder (or the record file itself), ``detections`` as a path from here."""
    record = results.read(path)
    if record.detections is None:
        return record
    return dataclasses.replace(record, detections=str((path if path.is_dir() else path.parent) / record.detections))


def read_stages(file: Path) -> list[Stage]:
    """Read the stages that the demo wrote.

    Raises:
        InputError: no such file, or another content.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [Stage(str(entry["stage"]), float(entry["seconds"]), str(entry["command"])) for entry in content]
    except FileNotFoundError:
        raise InputError(f"{file} is missing: expected a list of stages, found nothing; leave --stages out") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{file}: expected a JSON list of stage, seconds and command, found {type(error).__name__} {error}; "
            "leave --stages out"
        ) from None


def check_out(out: Path, records: list[Record]) -> None:
    """Check that ``out`` is new, empty, or holds a report on these very runs.

    Raises:
        InputError: it holds something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        content = json.loads((out / RESULTS).read_text(encoding="utf-8"))
        there = {_identity(results.from_json(entry, str(out / RESULTS))) for entry in content}
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


def write(out: Path, page: str, records: list[Record], png: bytes | None) -> None:
    """Write the report's files; everything is computed by now, and each file is replaced in one step."""
    content = []
    for record in records:
        entry = results.to_json(record)
        if record.detections is not None:
            entry["detections"] = os.path.relpath(record.detections, out)  # relative to this copy of the record
        content.append(entry)
    try:
        if png is None:
            (out / PICTURE).unlink(missing_ok=True)  # an earlier report's would be another's picture
        else:
            write_bytes(out / PICTURE, png)
        write_text(out / REPORT, page)
        write_text(out / RESULTS, json.dumps(content, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise InputError(f"{out}: expected a folder that can be written, found {error}; name another") from None
