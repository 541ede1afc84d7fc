"""Say what a checkpoint is: project, layout, architecture, normalisation, and whether it can be converted."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from transfer.checkpoints.checkpoint import Examination, examine
from transfer.checkpoints.completeness import listed

__all__ = ["describe", "run"]


def describe(seen: Examination) -> dict[str, Any]:
    """What ``inspect`` prints, as plain values (the ``--json`` output).

    Returns:
        what -> value; None where nobody knows.
    """
    comparison, fed = seen.comparison, seen.convention
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in seen.located.state.values()}
    return {
        "file": str(seen.path),
        "sha256": seen.sha256,
        "layout": seen.located.layout.name,
        "prefix": seen.located.path,
        "others": seen.others,
        "arch": seen.spec.name if seen.spec else None,
        "stem": seen.stem if seen.spec else None,
        "found": comparison.found if comparison else len(seen.located.state),
        "expected": comparison.expected if comparison else None,
        "dtype": sorted(dtypes),
        "mean": list(fed.mean) if fed else None,
        "std": list(fed.std) if fed else None,
        "channel_order": fed.channel_order if fed else None,
        "stride_in_1x1": fed.stride_in_1x1 if fed else None,
        "normalisation_from": seen.origin,
        "dropped": seen.located.dropped,
        "metadata": seen.metadata,
        "safe": True,  # an unsafe file does not get this far: reading refuses it by name
        "problems": seen.problems,
        "doubts": seen.doubts,
    }


def _lines(said: dict[str, Any]) -> list[str]:
    fed = "unknown: say it with --convention"
    if said["mean"]:
        mean, std = (", ".join(f"{value:.4g}" for value in said[key]) for key in ("mean", "std"))
        fed = f"{said['channel_order']}, mean {mean}, std {std} (from the {said['normalisation_from']})"
    rows = {
        "file": said["file"],
        "sha256": said["sha256"],
        "layout": said["layout"],
        "prefix": said["prefix"] or "none",
        "architecture": f"{said['arch'] or 'unknown'}, {said['stem'] or 'unknown'} stem",
        "tensors": f"{said['found']}/{said['expected'] or '-'} {', '.join(said['dtype'])}",
        "normalisation": fed,
        "strides": {True: "in the 1x1 (Caffe)", False: "in the 3x3 (torchvision)", None: "unknown"}[
            said["stride_in_1x1"]
        ],
        "dropped": f"{len(said['dropped'])} ({listed(said['dropped'])})" if said["dropped"] else "nothing",
        "also holds": ", ".join(said["others"]) or "no other backbone",
        "safe": "yes: tensors and plain containers only",
        "convertible": "yes" if not said["problems"] else f"no: {'; '.join(said['problems'])}",
    }
    doubts = [f"{'doubt':<14} {doubt}" for doubt in said["doubts"]]
    return [f"{name:<14} {text}" for name, text in rows.items()] + doubts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``python -m transfer inspect``."""
    parser.add_argument("file", type=Path, help="a checkpoint: .pth, .pt, .ckpt, .safetensors or .pkl")
    parser.add_argument(
        "--prefix", help="what stands before the backbone's names, or CONTAINER/PREFIX (default: recognised)"
    )
    parser.add_argument("--arch", help="torchvision's name of the architecture (default: recognised)")
    parser.add_argument(
        "--convention", help="how the network was fed: imagenet, imagenet228 or msra (default: as the file says)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines (default: lines)")


def run(args: argparse.Namespace) -> int:
    """Print; 1 when the file holds no backbone that could be converted."""
    said = describe(examine(args.file, args.prefix, args.arch, convention=args.convention))
    print(json.dumps(said, indent=2) if args.json else "\n".join(_lines(said)))
    return 1 if said["problems"] else 0
