"""The arguments of ``python -m transfer report``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from transfer.records.record import BASELINE, RESAMPLES

SUMMARY = "compare finished runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder with a record.json")
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
    """Write the report; print the answer, the table and the paths."""
    from transfer.reporting.markdown import headline, words
    from transfer.reporting.report import write_report

    report = write_report(
        args.runs,
        args.out,
        baseline=args.baseline,
        pretrain=args.pretrain,
        stages=args.stages,
        published=args.published,
        images=args.images,
        score=args.score,
        seed=args.picture_seed,
        resamples=args.resamples,
        force=args.force,
    )
    if report.note:
        print(f"transfer report: {report.note}", file=sys.stderr)
    print("\n".join([*words(report.summary), "", headline(report.summary), ""]).replace("**", ""))
    print("\n".join(map(str, report.paths)))
    return 0
