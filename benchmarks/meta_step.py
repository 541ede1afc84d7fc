"""What each way of the meta step costs over a plain training step: time, memory and, with --truth, accuracy.

python -m benchmarks.meta_step [--quick] [--case ARCH:SIZE:N ...] [--rounds R] [--truth DATA] [--json OUT]
                               [--markdown OUT]

The plain step is one forward and backward pass of the same losses and one step of the same optimiser. All modes are
timed in turn within every round, so that a drift of the machine meets all of them alike.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import outputs, timing
from benchmarks.cost import MEMORY_TARGET, measure
from benchmarks.modes import METHOD, MODES, Case, add_case_arguments, chosen
from benchmarks.outputs import progress
from benchmarks.truth import TruthSettings, run
from transfer.reporting.markdown import table

ON_CPU = (Case("resnet18", 64, 64), Case("resnet50", 96, 16))


def as_table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table, a row per mode; a dash is not measured."""
    header, columns = ["mode", "target"], []
    for case in figures["cases"]:
        short = f"{case['arch']} {case['size']} px n={case['n']}"
        header += [f"time, {short}", "middle half", f"memory, {short}"]
        columns.append({row["mode"]: row for row in case["rows"]})
    truth = figures["truth"]
    header += [part for v in "mξ" for part in (f"cos {v}", "lowest", f"norm {v}", f"cos {v}, mean")] + ["kNN"]
    rows = []
    for mode in MODES:
        row = [mode.name, _number(mode.target)]
        for column in columns:
            t = column[mode.name]["time"]
            row += [_number(t["median"]), f"{t['low']:.2f} to {t['high']:.2f}", _number(column[mode.name]["memory"])]
        measured = {} if truth is None else truth["rows"][mode.name]
        for variable in ("mask", "fusion"):
            values = measured.get(variable, {})
            row += [_number(values.get(k), 4) for k in ("cosine", "lowest_cosine", "norm_ratio", "mean_cosine")]
        knn = measured.get("knn")
        rows.append([*row, "–" if knn is None else f"{knn['accuracy']:.1f} ± {knn['standard_error']:.1f}"])
    return table(header, rows)


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _notes(figures: dict[str, Any]) -> str:
    machine = figures["machine"]
    lines = [
        f"Step time and peak memory over a plain step (memory: at most {MEMORY_TARGET}); medians of the rounds.",
        f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}, {machine['load']:.1f} processes "
        f"running at the start.",
    ]
    for case in figures["cases"]:
        s = case["plain"]["seconds"]
        lines.append(
            f"{case['case']}: plain step {s['median']:.3f} s ({s['low']:.3f} to {s['high']:.3f}, n = {s['n']} rounds), "
            f"{case['plain']['peak_bytes'] / 2**20:.0f} MiB."
        )
    if figures["truth"] is not None:
        lines.append(
            "cos, norm: hypergradient of m and ξ beside the exact post one at the same weights and batch; mean: beside "
            f"the mean of {figures['truth']['others']} other batches' exact ones; median over a run "
            f"({figures['truth']['settings']}). kNN: 5-nn of the features that the run ends with, %, ± standard "
            "error over the queries."
        )
    return "\n".join(lines)


def _truth(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    case = Case(args.truth_arch, args.truth_size, args.truth_n)
    settings = TruthSettings(args.truth_steps, args.truth_every, args.truth_lr, args.truth_others)
    rows = {}
    for mode in MODES:
        progress(f"truth: {mode.name}, {settings.steps} steps")
        rows[mode.name] = run(mode, case, args.truth, settings, device)
    description = f"{case}, {settings.steps} steps, every {settings.every}, lr {settings.lr}"
    return {"settings": description, "case": vars(case), **vars(settings), "rows": rows}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.meta_step", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tiny case and few rounds: shows that it works")
    add_case_arguments(parser, "resnet18:64:64 and resnet50:96:16")
    parser.add_argument(
        "--clip", type=float, help="clip gradients at this norm in the timed steps (default: no clipping)"
    )
    parser.add_argument("--rounds", type=int, help="timed rounds (default: 9, with --quick 2)")
    outputs.add_arguments(parser, markdown=True)
    truth = parser.add_argument_group("accuracy along a real run")
    truth.add_argument(
        "--truth",
        type=Path,
        metavar="DATA",
        help="folder of images to compare hypergradients on; with train/CLASS and val/CLASS in it, kNN too",
    )
    truth.add_argument("--truth-arch", default="resnet18", help="network (default: resnet18)")
    truth.add_argument("--truth-size", type=int, default=64, help="side of the views, pixels (default: 64)")
    truth.add_argument("--truth-n", type=int, default=32, help="images per batch (default: 32)")
    truth.add_argument("--truth-steps", type=int, default=200, help="iterations per mode (default: 200)")
    truth.add_argument("--truth-every", type=int, default=10, help="compare every K iterations (default: 10)")
    truth.add_argument("--truth-lr", type=float, default=1e-3, help="peak learning rate of w (default: 0.001)")
    truth.add_argument("--truth-others", type=int, default=8, help="batches of the mean hypergradient (default: 8)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 when the input was at fault. The figures decide nothing: machines differ."""
    parser = _parser()
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    device, cases = chosen(args, ON_CPU)
    cases = [replace(case, clip=args.clip) for case in cases]
    rounds = args.rounds or (2 if args.quick else 9)
    return outputs.status("benchmarks.meta_step", lambda: _measure(args, cases, rounds, device), "nothing was written")


def _measure(args: argparse.Namespace, cases: Sequence[Case], rounds: int, device: torch.device) -> None:
    figures: dict[str, Any] = {"method": METHOD, "machine": timing.machine(device)}
    figures["truth"] = None if args.truth is None else _truth(args, device)
    figures["cases"] = [measure(case, rounds, device, progress) for case in cases]
    outputs.finish(args, figures, f"{as_table(figures)}\n\n{_notes(figures)}\n")


if __name__ == "__main__":
    sys.exit(main())
