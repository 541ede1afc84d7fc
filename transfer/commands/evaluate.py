"""The arguments of ``python -m transfer evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from transfer.commands import entry
from transfer.records.record import ENGINES, TASKS

SUMMARY = "measure detections on a ground truth: AP, AR, what each kind of error costs"
EPILOG = """Any detector's results can be measured, in the format of COCO's results files. --run takes what is known of
the training from a run that `transfer finetune` left, whose own detections and ground truth are the default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("--gt", type=Path, metavar="ANN", help="ground truth, COCO or LVIS format")
    parser.add_argument("--detections", type=Path, metavar="RESULTS", help="COCO results file")
    parser.add_argument("--out", type=Path, required=True, metavar="RECORD", help="the record to write, JSON")
    parser.add_argument(
        "--tasks", nargs="+", choices=TASKS, metavar="TASK", help="bbox, segm (default: what both files have)"
    )
    parser.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help=f"what computes the metrics (default: {ENGINES[0]})"
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
    """Measure, and print the table."""
    from transfer.evaluation.evaluate import evaluate
    from transfer.evaluation.measure import table

    with entry.notes():
        record = evaluate(
            args.gt,
            args.detections,
            out=args.out,
            tasks=args.tasks,
            engine=args.engine,
            cross_check=args.cross_check,
            run=args.run,
            name=args.name,
            init=args.init,
            seed=args.seed,
            force=args.force,
        )
    counts = record.counts
    print(f"{record.name}: {counts.detections} detections, {counts.objects} objects in {counts.images} images")
    print(table(record.metrics))
    if record.cross_check is not None:
        print(f"the engines agree to {record.cross_check:.1e} points")
    print(f"record: {args.out}")
    return 0
