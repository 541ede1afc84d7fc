"""What ``run.compile`` gains: a training step of `simclr` with a compiled backbone over the same step without.

python -m benchmarks.compile [--quick] [--case ARCH:SIZE:N ...] [--rounds R] [--json OUT] [--markdown OUT]

The two are timed in turn within every round, so that a drift of the machine meets both alike. The first step of each,
in which the graph is compiled (nothing is taken from an earlier compilation), is told apart. On a CPU, processor time
too: where other work shares the machine, it says more.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch

from benchmarks import outputs, timing
from benchmarks.modes import PLAIN, Case, Trainee, add_case_arguments, chosen, random_views
from benchmarks.outputs import progress
from pretrain.algorithm.compilation import check_compiler
from transfer.reporting.markdown import table

METHOD = "simclr"  # one backbone pass and nothing of the upper level: what a compiled backbone can gain at most
ON_CPU = (Case("resnet18", 64, 64),)


def measure(case: Case, rounds: int, device: torch.device, progress: Callable[[str], None]) -> dict[str, Any]:
    """The compiled step over the plain one.

    Args:
        case: network and batch.
        rounds: timed pairs, after one that is left out.
        device: where to run.
        progress: is told what is being measured.

    Returns:
        ``plain`` in seconds; ``time`` and, on a CPU, ``cpu_time`` as ratios (median, quartiles, n), below 1 where
        compiling gains; ``first``: seconds of each way's first step.

    Raises:
        InputError: no compiler works here, or the backbone cannot be compiled.
    """
    case, data = replace(case, method=METHOD), random_views(case, device)
    works = {
        name: partial(Trainee(replace(case, compile=name == "compiled"), PLAIN, device).steps, data)
        for name in ("plain", "compiled")
    }
    first = {}
    with _nothing_compiled_yet():
        check_compiler(device)
        for name, work in works.items():
            progress(f"{case}: first step, {name}")
            first[name] = timing.timed(work, device)[0]
    wall, cpu = timing.in_turn(works, rounds, device, lambda text: progress(f"{case}: {text}"))
    figures = {"case": str(case), **vars(case), "first": first, "plain": timing.spread(wall["plain"])}
    figures["time"] = timing.ratios(wall["compiled"], wall["plain"])
    if device.type == "cpu":
        figures["cpu_time"] = timing.ratios(cpu["compiled"], cpu["plain"])
    return figures


@contextmanager
def _nothing_compiled_yet() -> Iterator[None]:
    """An empty cache for the compiler."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=folder):
        yield


def as_text(figures: dict[str, Any]) -> str:
    """The figures as Markdown; a dash is not measured."""
    header = ["case", "plain step, s", "compiled / plain", "middle half", "processor time", "middle half"]
    rows, notes = [], []
    for case in figures["cases"]:
        row = [case["case"], f"{case['plain']['median']:.3f}"]
        for ratio in (case["time"], case.get("cpu_time")):
            row += ["–", "–"] if ratio is None else _ratio(ratio)
        rows.append(row)
        first = case["first"]
        notes.append(
            f"{case['case']}: medians of n = {case['time']['n']} pairs; the first compiled step takes "
            f"{first['compiled']:.1f} s, the first plain one {first['plain']:.1f} s."
        )
    machine = figures["machine"]
    notes.append(
        f"{figures['method']}; {machine['device']}, {machine['cores']} cores, {machine['threads']} threads, torch "
        f"{machine['torch']}, {machine['load']:.1f} processes running at the start."
    )
    return table(header, rows) + "\n\n" + "\n".join(notes) + "\n"


def _ratio(ratio: dict[str, float]) -> list[str]:
    return [f"{ratio['median']:.2f}", f"{ratio['low']:.2f} to {ratio['high']:.2f}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tiny case and few rounds: shows that it works")
    add_case_arguments(parser, "resnet18:64:64")
    parser.add_argument("--rounds", type=int, help="timed pairs (default: 15, with --quick 2)")
    outputs.add_arguments(parser, markdown=True)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; exits as `outputs.status` does. The figures decide nothing: machines differ."""
    parser = _parser()
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    device, cases = chosen(args, ON_CPU)
    rounds = args.rounds or (2 if args.quick else 15)
    return outputs.status("benchmarks.compile", lambda: _measure(args, cases, rounds, device), "nothing was written")


def _measure(args: argparse.Namespace, cases: Sequence[Case], rounds: int, device: torch.device) -> None:
    figures: dict[str, Any] = {"method": METHOD, "machine": timing.machine(device)}
    figures["cases"] = [measure(case, rounds, device, progress) for case in cases]
    outputs.finish(args, figures, as_text(figures))


if __name__ == "__main__":
    sys.exit(main())
