"""What each method's features are worth after a short training: kNN and effective rank beside random weights.

python -m benchmarks.methods --data DIR --out DIR [--judge DIR] [--iterations 300] [--batch 32] [--size 64]

DIR holds class folders, train/CLASS and val/CLASS (`benchmarks.sets.single_objects` makes them of a COCO set). --judge
gives others for kNN, such as the objects cut out of the scenes that were trained on. Every row
is one run of ``python -m pretrain`` with that method's config and one of ``python -m pretrain evaluate``; what is in
--out already is not run again, and an interrupted training goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import outputs
from benchmarks.outputs import Failed
from pretrain.method.methods import METHODS
from transfer.reporting.markdown import table

CONFIGS = Path(__file__).parent.parent / "configs" / "pretrain"
WEIGHTS = "backbone.safetensors"


def pretrain(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train ``name`` unless its weights are there; seconds and iterations of the part that ran here."""
    folder = args.out / name
    timing = folder / "timing.json"
    if not (folder / WEIGHTS).exists():
        options = {
            "schedule.iterations": args.iterations,
            "data.batch": args.batch,
            "data.workers": args.workers,
            "views.size": args.size,
            "run.seed": args.seed,
            "run.log_every": 20,
            "run.checkpoint_every": 100,
        }
        command = [str(CONFIGS / f"{name}_r18_any_100e.py"), "--data", args.data / "train", "--work-dir", folder]
        resume = ["--resume"] if list(folder.glob("*.pth")) else []
        began = time.perf_counter()
        _python("pretrain", *command, *resume, "--cfg-options", *(f"{k}={v}" for k, v in options.items()))
        seconds = None if resume else time.perf_counter() - began
        timing.write_text(json.dumps({"seconds": seconds, "iterations": args.iterations}), encoding="utf-8")
    content: dict[str, Any] = json.loads(timing.read_text(encoding="utf-8"))
    return content


def evaluate(weights: str, record: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The kNN record of ``weights`` on the val folders."""
    if not record.exists():
        rest = [
            "--data",
            args.judge or args.data,
            "--protocol",
            "knn",
            "--out",
            record,
            "--size",
            args.size,
            "--seed",
            args.seed,
        ]
        _python("pretrain", "evaluate", weights, *rest)
    content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return content


def row(name: str, record: dict[str, Any], timing: dict[str, Any], random: dict[str, Any] | None) -> dict[str, Any]:
    """One line of the table; the standard error of the difference takes the two accuracies as independent."""
    top1, base = record["results"]["top1"], (random or record)["results"]["top1"]
    error = math.hypot(top1["standard_error"], base["standard_error"])
    difference = None if random is None else top1["accuracy"] - base["accuracy"]
    return {
        "name": name,
        "seconds": timing.get("seconds"),
        "knn": top1["accuracy"],
        "standard_error": top1["standard_error"],
        "difference": difference,
        "difference_error": None if random is None else error,
        "above_random": None if difference is None else difference > 2 * error,
        "effective_rank": record["effective_rank"]["value"],
    }


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    header = [
        "method",
        "5-nn, %",
        "± SE",
        "above random weights",
        "± SE",
        "more than 2 SE",
        "effective rank",
        "seconds",
    ]
    cells = []
    for r in rows:
        difference = ["–"] * 3
        if r["difference"] is not None:
            difference = [
                f"{r['difference']:+.1f}",
                f"{r['difference_error']:.1f}",
                "yes" if r["above_random"] else "no",
            ]
        seconds = "–" if r["seconds"] is None else f"{r['seconds']:.0f}"
        cells.append(
            [
                r["name"],
                f"{r['knn']:.1f}",
                f"{r['standard_error']:.1f}",
                *difference,
                f"{r['effective_rank']:.1f}",
                seconds,
            ]
        )
    return table(header, cells)


def _python(*arguments: object) -> None:
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)])
    if done.returncode:
        raise Failed(f"`python -m {' '.join(map(str, arguments))}` ended with {done.returncode}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/CLASS and val/CLASS")
    parser.add_argument("--judge", type=Path, help="the same for kNN (default: --data)")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and records; kept between calls")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="default: all")
    parser.add_argument("--iterations", type=int, default=300, help="of each training (default: 300)")
    parser.add_argument("--batch", type=int, default=32, help="images per batch (default: 32)")
    parser.add_argument("--size", type=int, default=64, help="side of the views, pixels (default: 64)")
    parser.add_argument("--workers", type=int, default=1, help="loader processes (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and views (default: 0)")
    outputs.add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing and print the table; 1 when a run failed."""
    parser = _parser()
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    return outputs.status("benchmarks.methods", lambda: _compare(args), "the same command goes on")


def _compare(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    knn = f"knn_{(args.judge or args.data).name}.json"
    random = evaluate("random:resnet18", args.out / f"random_{knn}", args)
    rows = [row("random weights", random, {}, None)]
    for name in args.methods:
        timing = pretrain(name, args)
        record = evaluate(str(args.out / name / WEIGHTS), args.out / name / knn, args)
        rows.append(row(name, record, timing, random))
    run = f"{args.iterations} iterations, n = {args.batch}, {args.size} px, seed {args.seed}"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    queries = random["data"]["test"]["n"]
    print(f"\n{as_table(rows)}\n\n{run}; {queries} queries; {machine}.")
    settings = {k: v for k, v in vars(args).items() if k in ("iterations", "batch", "size", "seed")}
    outputs.write(args, {"settings": settings, "queries": queries, "machine": machine, "rows": rows})


if __name__ == "__main__":
    sys.exit(main())
