"""The arguments of ``python -m transfer doctor``."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "find what would spoil a run before it costs GPU hours"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--config-file", metavar="YAML", help="the config to examine (default: the environment only)")
    parser.add_argument("--weights", type=Path, help="the converted file it will start from (default: MODEL.WEIGHTS)")
    parser.add_argument("--classes", type=int, help="classes of the training data (default: by the data set's name)")
    parser.add_argument("--gpus", type=int, help="GPUs the run will have (default: those of this machine)")
    parser.add_argument(
        "--stock",
        action="store_true",
        help="the run is started by Detectron2's own script (default: by transfer finetune)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 when one of them is an error."""
    from transfer.doctor.examine import diagnose

    findings = diagnose(args.config_file, args.weights, classes=args.classes, gpus=args.gpus, stock=args.stock)
    for finding in findings:
        print(finding)
    errors = sum(finding.level == "error" for finding in findings)
    print(f"{errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0
