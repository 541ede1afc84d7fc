"""The arguments of ``python -m transfer inspect``."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "say what a checkpoint is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "file", type=Path, help="a checkpoint: .pth, .pt, .ckpt, .safetensors or .pkl; or hf:ORG/NAME[@REVISION][/FILE]"
    )
    parser.add_argument(
        "--prefix", help="what stands before the backbone's names, or CONTAINER/PREFIX (default: recognised)"
    )
    parser.add_argument("--arch", help="torchvision's name of the architecture (default: recognised)")
    parser.add_argument(
        "--convention", help="how the network was fed: imagenet, imagenet228 or msra (default: as the file says)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines (default: lines)")


def run(args: argparse.Namespace) -> int:
    """Print what the file is; 1 when it holds no backbone that could be converted."""
    import json

    from transfer.checkpoints import description

    content = description.describe(args.file, args.prefix, args.arch, convention=args.convention)
    print(json.dumps(content, indent=2) if args.json else "\n".join(description.as_lines(content)))
    return 1 if content["problems"] else 0
