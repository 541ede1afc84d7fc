"""The arguments of ``python -m transfer export``."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "write a finished run's detector as TorchScript, proven on other images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a finished Faster or Mask R-CNN run")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="TorchScript file to write, new")
    parser.add_argument(
        "--images", type=Path, metavar="PATH", help="prove on this image or a folder's first 4 (default: made up)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the file and what it says of itself; print the proof."""
    from transfer.finetuning import waiting
    from transfer.finetuning.export import export

    waiting.choose()
    exported = export(args.run_folder, args.out, images=args.images)
    found = ", ".join(map(str, exported.detections))
    print(f"the same on {len(exported.detections)} images ({found} detections): max rel {exported.largest_error:.2e}")
    print(f"{exported.path}\n{exported.path}.json")
    return 0
