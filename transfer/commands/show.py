"""The arguments of ``python -m transfer show``."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "draw what a run detects in images of its val set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder, with a record that kept its detections")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--images", nargs="+", metavar="NAME", help="file names of val images")
    which.add_argument("--random", type=int, metavar="N", help="this many val images, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="draws the random images (default 0)")
    parser.add_argument(
        "--score",
        type=float,
        default=0.5,
        metavar="S",
        help="least score drawn, 0-1; the best few, dimmed, where none reaches it (default 0.5)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder for the pictures")


def run(args: argparse.Namespace) -> int:
    """Draw, and print the pictures' paths."""
    from transfer.reporting import pictures

    drawn = pictures.show(args.run, args.out, images=args.images, random=args.random, seed=args.seed, score=args.score)
    print("\n".join(map(str, drawn)))
    return 0
