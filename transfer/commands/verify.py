"""The arguments of ``python -m transfer verify``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from transfer.conversion.targets import TARGETS
from transfer.detectors.overlay import HEADS
from transfer.errors import CheckpointError

SUMMARY = "prove that two files hold the same backbone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", type=Path, help="the checkpoint the weights came from")
    parser.add_argument("target", type=Path, help="the converted file")
    parser.add_argument("--to", choices=TARGETS, help="the target's framework (default: as its names say)")
    parser.add_argument("--head", choices=HEADS, help="prove this detector only (default: both, for Detectron2 files)")
    parser.add_argument("--prefix", help="what stands before the backbone's names in SOURCE (default: recognised)")
    parser.add_argument("--arch", help="torchvision's name of the architecture (default: recognised)")
    parser.add_argument(
        "--convention", help="how SOURCE was fed: imagenet, imagenet228 or msra (default: as the file says)"
    )
    parser.add_argument(
        "--widen", action="store_true", help="take SOURCE in half or double precision, as float32 (default: refuse)"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="compare on the first 4 images of DIR (default: made up)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the proofs; 1 when the two are not the same backbone."""
    from transfer.checkpoints.checkpoint import read
    from transfer.conversion.proof import verify

    source = read(args.source, args.prefix, args.arch, convention=args.convention, widen=args.widen)
    for doubt in source.doubts:
        print(f"transfer verify: warning: {source.path}: {doubt}", file=sys.stderr)
    proofs = verify(source, args.target, args.to, args.head, pixels=args.images)
    print("\n".join(map(str, proofs)))
    if all(proof.holds for proof in proofs):
        return 0
    raise CheckpointError(
        f"not the same backbone: expected {args.target} to compute what {args.source} computes, found the errors "
        "above; convert it again"
    )
