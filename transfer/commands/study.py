"""The arguments of ``python -m transfer study``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SUMMARY = "run a whole comparison from a file: what is missing is run, and all that is there is reported on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "study", metavar="STUDY.yaml", help="a study file, or the name of a packaged one (docs/study.md)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for everything; the same goes on"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="CELL",
                        help="these cells, as START, START/SEED or START/SEED/LABELS (default: all)")  # fmt: skip
    parser.add_argument(
        "--shard", type=_shard, default=(0, 1), metavar="I/N", help="part I, from 0, of N parts of the cells"
    )
    parser.add_argument("--jobs", type=_positive, metavar="N",
                        help="steps side by side (default: one a GPU; one on a machine without)")  # fmt: skip
    parser.add_argument("--executor", choices=["local", "slurm"], default="local",
                        help="where cells run: here, or as jobs of SLURM's queue (default: local)")  # fmt: skip
    parser.add_argument("--slurm", nargs="+", type=_pair, default=[], metavar="KEY=VALUE",
                        help="of the jobs, under submitit's names, such as timeout_min=600 gpus_per_node=1 "
                        "slurm_partition=gpu")  # fmt: skip
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--dry-run", action="store_true", help="list cells, commands and their measured cost; run no cell"
    )
    what.add_argument("--report-only", action="store_true", help="run nothing: report on the cells that are there")


def run(args: argparse.Namespace) -> int:
    """Run what is missing and report; 1 when a step failed."""
    from transfer.errors import InputError
    from transfer.studies import study

    if args.slurm and args.executor != "slurm":
        raise InputError("--slurm: expected --executor slurm beside it, found local; add it or leave both out")
    if args.dry_run:
        print(study.plan(args.study, args.out, only=args.only, shard=args.shard, jobs=args.jobs))
        return 0
    outcome = study.run(
        args.study,
        args.out,
        only=args.only,
        shard=args.shard,
        jobs=args.jobs,
        executor=args.executor,
        slurm=dict(args.slurm),
        report_only=args.report_only,
    )
    for line in outcome.failed:
        print(f"transfer study: failed: {line}", file=sys.stderr)
    if outcome.note:
        print(f"transfer study: no report yet: {outcome.note}", file=sys.stderr)
    print(f"{len(outcome.done)} of {len(outcome.cells)} cells done")
    if outcome.report is not None:
        print(outcome.report / "report.html")
    return 1 if outcome.failed else 0


def _shard(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit() and int(number) < int(of)):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 0 to N - 1, such as 0/2, found {text}")
    return int(number), int(of)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {text}")
    return int(text)


def _pair(text: str) -> tuple[str, str | int]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, found {text}")
    return key, int(value) if value.isdigit() else value
