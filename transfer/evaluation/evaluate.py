"""``python -m transfer evaluate --gt ANN.json --detections RESULTS.json --out RECORD.json``: detections -> a record."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

from transfer.errors import InputError
from transfer.evaluation import detections, ground_truth
from transfer.evaluation.engines import ENGINES
from transfer.evaluation.measure import Measured, measure, table
from transfer.files.json_files import large_values
from transfer.records import machine, record_file
from transfer.records.record import TASKS, Cost, Data, Record, Seconds
from transfer.records.record_file import read_run

EPILOG = """Any detector's results can be measured, in the format of COCO's results files. --run takes what is known of
the training from a run that train_net left, whose own detections and ground truth are the default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("--gt", type=Path, metavar="ANN", help="ground truth, COCO or LVIS format")
    parser.add_argument("--detections", type=Path, metavar="RESULTS", help="COCO results file")
    parser.add_argument("--out", type=Path, required=True, metavar="RECORD", help="the record to write, JSON")
    parser.add_argument(
        "--tasks", nargs="+", choices=TASKS, metavar="TASK", help="bbox, segm (default: what both files have)"
    )
    parser.add_argument(
        "--engine", choices=list(ENGINES), default="hotcoco", help="what computes the metrics (default: hotcoco)"
    )
    parser.add_argument(
        "--cross-check", action="store_true", help="measure with the other engine as well and compare every number"
    )
    parser.add_argument("--run", type=Path, metavar="RUN", help="finished run whose training the record describes")
    parser.add_argument("--name", help="what reports call the run (default: the run's, or the record's file name)")
    parser.add_argument("--init", help="what a report groups runs by: random or the pretraining (default: the name)")
    parser.add_argument("--seed", type=int, metavar="N", help="training seed, by which a report pairs runs")
    parser.add_argument("--force", action="store_true", help="replace the record")


def run(args: argparse.Namespace) -> int:
    """Measure, write the record, print the table.

    Raises:
        InputError: files that are missing, no detections or no ground truth, or a record that is there already.
    """
    if args.out.exists() and not args.force:
        raise InputError(f"{args.out} is taken: expected a new file, found one; name another or use --force")
    known = read_run(args.run) if args.run else None
    gt, file = _files(args, known)
    with large_values():
        return _measure(args, known, gt, file)


def _measure(args: argparse.Namespace, known: Record | None, gt: Path, file: Path) -> int:
    start = time.perf_counter()
    truth = ground_truth.read(gt)
    found = detections.read(file, truth, args.tasks)
    if known is not None and known.protocol != truth.protocol:
        rules = f"measuring by {truth.protocol}'s rules, not by {known.protocol}'s as {known.name}'s own record"
        print(f"{rules}: the two records cannot be compared", file=sys.stderr)
    for engine in ENGINES if args.cross_check else (args.engine,):
        if engine == "pycocotools":
            print(f"measuring {len(found)} detections with pycocotools: minutes on a large set", file=sys.stderr)
    measured = measure(truth, found, args.engine, cross_check=args.cross_check)
    seconds = Seconds(known.seconds.train if known else None, time.perf_counter() - start)
    record = _record(args, known, truth, found, measured, seconds)
    try:
        record_file.write(args.out, record)
    except OSError as error:
        raise InputError(f"{args.out}: expected a file that can be written, found {error}; name another") from None
    counts = record.counts
    print(f"{record.name}: {counts.detections} detections, {counts.objects} objects in {counts.images} images")
    print(table(record.metrics))
    if measured.cross_check is not None:
        print(f"the engines agree to {measured.cross_check:.1e} points")
    print(f"record: {args.out}")
    return 0


def _files(args: argparse.Namespace, known: Record | None) -> tuple[Path, Path]:
    """Return ground truth and detections: as given, or the run's own."""
    gt, file = args.gt, args.detections
    if known is not None:
        if gt is None:
            gt = Path(known.data.val.annotations)
        if file is None and known.detections is not None:
            file = Path(known.detections)
    if gt is None or file is None:
        missing = "--gt ANN.json" if gt is None else "--detections RESULTS.json"
        raise InputError(f"nothing to measure: expected {missing}, found none; give it")
    return gt, file


def _record(
    args: argparse.Namespace,
    known: Record | None,
    truth: ground_truth.GroundTruth,
    found: detections.Detections,
    measured: Measured,
    seconds: Seconds,
) -> Record:
    name = args.name or (known.name if known else args.out.stem)
    val = truth.split()
    if known is not None and known.data.val.fingerprint == truth.sha256:
        val = known.data.val  # which also says where the images are
    fresh = Record(
        name=name,
        init=args.init or (known.init if known else name),
        seed=args.seed if args.seed is not None else known.seed if known else None,
        weights=known.weights if known else None,
        config=known.config if known else None,
        data=Data(known.data.train if known else None, val),
        schedule=known.schedule if known else None,
        label_fraction=known.label_fraction if known else None,
        engine=args.engine,
        protocol=truth.protocol,
        versions={**(known.versions if known else {}), **machine.versions()},
        device=known.device if known else f"CPU, {os.cpu_count()} cores",
        seconds=seconds,
        cost=known.cost if known else Cost(peak_memory=machine.peak_memory()),
        metrics=measured.metrics,
        per_class=measured.per_class,
        tide=measured.tide,
        cross_check=measured.cross_check,
        counts=truth.counts(len(found)),
        detections=os.path.relpath(found.file, args.out.parent),
        detections_sha256=found.sha256,
    )
    return dataclasses.replace(fresh, weights=None) if fresh.init == "random" else fresh
