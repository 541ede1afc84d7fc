"""The arguments of ``python -m transfer predict``."""

from __future__ import annotations

import argparse
from pathlib import Path

from transfer.commands import entry

SUMMARY = "run a finished run's detector over images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--images", type=Path, required=True, metavar="PATH", help="an image, or a folder that is searched deeply"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="COCO results file to write")
    parser.add_argument("--score", type=float, default=0.05, metavar="S", help="least score kept, 0-1 (default 0.05)")
    parser.add_argument(
        "--overlays",
        type=Path,
        metavar="DIR",
        help="new folder for the images with the detections drawn on them, at their own size",
    )
    parser.add_argument(
        "--draw",
        type=float,
        default=0.5,
        metavar="S",
        help="least score drawn, 0-1; the best few, dimmed, where none reaches it (default 0.5)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the detections; print their number and the files."""
    from transfer.finetuning import waiting
    from transfer.finetuning.predict import images_file, predict

    waiting.choose()  # PyTorch is loaded later, when there is something to do
    with entry.notes():
        predictions = predict(
            args.run_folder, args.images, score=args.score, out=args.out, overlays=args.overlays, draw=args.draw
        )
    print(f"{len(predictions.detections)} detections on {len(predictions.listing['images'])} images")
    if predictions.drawings is not None:
        print(predictions.drawings)
    for path in (args.out, images_file(args.out), *([args.overlays] if args.overlays else [])):
        print(path)
    return 0
