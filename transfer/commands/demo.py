"""The arguments of ``python -m transfer demo``."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "the whole chain on a small real data set: data, pretraining, conversion, two fine-tunings, report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for everything the demo makes")
    parser.add_argument("--quick", action="store_true", help="a few images and iterations: shows that the chain runs")


def run(args: argparse.Namespace) -> int:
    """Run the chain; return 0, or the exit code of the stage that failed."""
    from transfer.demo import chain

    return chain.run(args.out, quick=args.quick)
