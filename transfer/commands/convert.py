"""The arguments of ``python -m transfer convert``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from transfer.conversion.targets import TARGETS
from transfer.detectors.overlay import HEADS

SUMMARY = "rewrite a backbone for another framework, completely or not at all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "file",
        type=Path,
        help="any known checkpoint (see `python -m transfer inspect FILE`), or hf:ORG/NAME[@REVISION][/FILE] of the "
        "Hugging Face hub",
    )
    parser.add_argument("--to", required=True, choices=TARGETS, help="the framework to write for")
    parser.add_argument(
        "--out", required=True, type=Path, help="the file to write: .pth, or .safetensors for torchvision and timm"
    )
    parser.add_argument(
        "--head", choices=HEADS, help="write and prove for this Detectron2 detector only (default: both)"
    )
    parser.add_argument(
        "--prefix", help="what stands before the backbone's names, or CONTAINER/PREFIX (default: recognised)"
    )
    parser.add_argument("--arch", help="torchvision's name of the architecture (default: recognised)")
    parser.add_argument(
        "--convention", help="how the network was fed: imagenet, imagenet228 or msra (default: as the file says)"
    )
    parser.add_argument(
        "--widen", action="store_true", help="take half or double precision, as float32 (default: refuse)"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="prove on the first 4 images of DIR (default: made up)"
    )
    parser.add_argument("--force", action="store_true", help="replace existing files (default: refuse)")


def run(args: argparse.Namespace) -> int:
    """Convert, and print the proofs; 0 when they hold."""
    from transfer.checkpoints.checkpoint import read
    from transfer.conversion.convert import convert

    source = read(args.file, args.prefix, args.arch, convention=args.convention, widen=args.widen)
    for doubt in source.doubts:
        print(f"transfer convert: warning: {source.path}: {doubt}", file=sys.stderr)
    proofs = convert(source, args.to, args.out, args.head, force=args.force, pixels=args.images)
    print("\n".join(map(str, proofs)))
    print(f"{source.layout}, {source.arch}: {len(source.state)} tensors written to {args.out}")
    return 0
