"""``python -m transfer report RUN ... --out DIR``: finished runs in, the page people decide from out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from transfer.comparison.bootstrap import RESAMPLES, resample
from transfer.comparison.comparable import check_comparable
from transfer.comparison.compare import BASELINE
from transfer.errors import InputError
from transfer.files.atomic import write_bytes, write_text
from transfer.records import record_file
from transfer.records.record import Record
from transfer.records.record_file import read_run
from transfer.records.stages import Stage, read_stages
from transfer.reporting import csv_latex, curves, published
from transfer.reporting.figures import kept_curves
from transfer.reporting.gallery import Choice, Gallery, gallery
from transfer.reporting.markdown import Picture, headline, to_markdown, words
from transfer.reporting.page import Extras, page
from transfer.reporting.summary import summarise
from transfer.reporting.wording import answer

PAGE, TEXT, CSV, LATEX, RESULTS, PICTURE = (
    "report.html", "report.md", "report.csv", "table.tex", "results.json", "detections.png",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help=f"folder with a {record_file.FILE_NAME}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write the report to")
    parser.add_argument("--baseline", metavar="NAME", help=f"start to compare with (default: {BASELINE}, if present)")
    parser.add_argument(
        "--published", action="store_true", help="also list published results of other protocols, apart"
    )
    parser.add_argument(
        "--pretrain", type=Path, nargs="+", default=[], metavar="DIR", help="pretraining runs whose curves to show"
    )
    parser.add_argument("--stages", type=Path, metavar="FILE", help="JSON list of {stage, seconds, command} to show")
    parser.add_argument("--images", type=int, default=6, metavar="N", help="images of each kind to show (default 6)")
    parser.add_argument("--score", type=float, default=0.5, metavar="S", help="least score drawn, 0-1 (default 0.5)")
    parser.add_argument("--picture-seed", type=int, default=0, metavar="N", help="draws the random images (default 0)")
    parser.add_argument(
        "--resamples", type=int, default=RESAMPLES, metavar="N", help=f"resampled val sets (default {RESAMPLES})"
    )
    parser.add_argument("--force", action="store_true", help="replace a report on other runs")


def run(args: argparse.Namespace) -> int:
    """Write the report, everything or nothing; print the answer, the table and the paths.

    Raises:
        InputError: a run cannot be read, runs cannot be compared, or ``--out`` holds something else.
    """
    _check_numbers(args)
    records = [read_run(path) for path in args.runs]
    check_comparable(records)
    if not args.force:
        check_out(args.out, records)
    stages = read_stages(args.stages) if args.stages else []
    summary = summarise(records, args.baseline, resample(records, args.resamples, args.picture_seed))
    groups = summary.at(summary.fractions[0])
    base = summary.base(summary.fractions[0])
    choice = Choice(args.images, args.score, args.picture_seed)
    shown = gallery(groups, base, summary.leading, choice, summary.images)
    extras = _extras(args, records, stages)
    png, picture = _picture(shown, args.score)
    files = {
        PAGE: page(summary, shown, args.score, extras),
        TEXT: to_markdown(summary, extras.published, stages, picture),
        CSV: csv_latex.to_csv(summary),
        LATEX: csv_latex.to_latex(summary, answer(summary)),
        RESULTS: _records(args.out, records),
    }
    write(args.out, files, png)
    if shown.why:
        print(f"transfer report: {shown.why}", file=sys.stderr)
    print("\n".join([*words(summary), "", headline(summary), ""]).replace("**", ""))
    for name in (*files, *([PICTURE] if png else [])):
        print(args.out / name)
    return 0


def _check_numbers(args: argparse.Namespace) -> None:
    if args.images < 1 or not 0 <= args.score <= 1 or args.picture_seed < 0 or args.resamples < 100:
        found = f"{args.images}, {args.score}, {args.picture_seed}, {args.resamples}"
        raise InputError(
            "--images, --score, --picture-seed, --resamples: expected 1 or more, 0-1, 0 or more, 100 or more, "
            f"found {found}; change it"
        )


def _extras(args: argparse.Namespace, records: list[Record], stages: list[Stage]) -> Extras:
    """Read everything but the records."""
    found = [curves.finetuning(path if path.is_dir() else path.parent) for path in args.runs]
    full = [record for record in records if record.label_fraction == 1]
    beside = published.beside(full) if full else []
    return Extras(
        finetuning=kept_curves(records, found),
        pretraining=[curves.pretraining(folder) for folder in args.pretrain],
        published=beside,
        apart=[row for row in published.rows() if row not in beside] if args.published else [],
        frozen=published.frozen_rows() if args.published else [],
        stages=stages,
    )


def _picture(shown: Gallery, score: float) -> tuple[bytes | None, Picture]:
    """Draw the random images for ``report.md``, which cannot hold the page's gallery."""
    if not shown.strips:
        return None, Picture(None, shown.why)
    from transfer.drawing.png_grid import (  # matplotlib is loaded only when there is something to draw
        GridRow,
        detections_png,
    )

    strip = shown.strips[-1]
    caption = f"{strip.caption}\nPredictions with a score of at least {score:.2f}."
    rows = [GridRow(image.name, image.pixels, image.columns) for image in strip.images]
    return detections_png(rows, shown.titles, shown.classes, caption), Picture(PICTURE, caption.replace("\n", " "))


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


def _records(out: Path, records: list[Record]) -> str:
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
