"""Is an hour of one pretraining worth more on detection than an hour of another? From a set to the report.

python -m benchmarks.evidence --data DIR --out DIR [--size cpu|gpu] [--plan FILE] [--only CELL ...] [--keep DIR]

DIR is a set of `benchmarks.sets.photographs`. First the plan: seconds per iteration of each start, measured side by
side, and its learning rate, by the same search on a part of train. Then the cells, in any order and number of calls:
what is
in --out already is not run again. Last the report and the tables, of all cells that are there.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import outputs
from benchmarks.evidence import page, plan, steps
from benchmarks.evidence.cells import Cell, cells, chain, curve
from benchmarks.evidence.plan import Plan
from benchmarks.evidence.pretraining import objects
from benchmarks.evidence.sets import Photographs
from benchmarks.evidence.sizes import SIZES, Size
from benchmarks.outputs import Failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="a set as benchmarks.sets.photographs makes it")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything; kept between calls")
    parser.add_argument("--size", choices=SIZES, default="cpu", help="how much is run (default: cpu)")
    parser.add_argument("--plan", type=Path, help="take this plan instead of measuring and searching")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="CELL",
        help="these cells, such as compute/simclr/0 or compute/simclr (default: all)",
    )
    parser.add_argument("--labels", nargs="+", type=_share, metavar="SHARE", help="such as 10%% (default: the size's)")
    parser.add_argument("--report-only", action="store_true", help="run nothing: report on the cells that are there")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy plan, records and tables here, no weights")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing and report; 1 when something failed."""
    args = _parser().parse_args(argv)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill ends the commands too, like Ctrl-C
    try:
        return outputs.status("benchmarks.evidence", lambda: _run(args), "the same command goes on")
    finally:
        signal.signal(signal.SIGTERM, before)  # who calls this may fork, and a fork that catches SIGTERM can miss it


def _run(args: argparse.Namespace) -> None:
    size, data, out = SIZES[args.size], Photographs(args.data), args.out
    if args.labels:
        size = size.with_labels(tuple(args.labels))
    data.check()
    chosen = select(cells(size), args.only)
    made = _plan(args, size, data)
    if not args.report_only:
        folders = objects(data.train, data.val, out / "objects")
        chains = [chain(cell, size, made, data, folders, out) for cell in chosen]
        if not args.only:
            chains.append([curve(size, data, out / "search")])
        steps.run(chains, size.jobs)
    page.write(size, made, out, args.keep)


def _share(text: str) -> str:
    if not text.endswith("%") or not 0 < float(text[:-1]) <= 100:  # a ValueError is argparse's too
        raise argparse.ArgumentTypeError(f"expected a share such as 10%, found {text!r}")
    return text


def select(found: Sequence[Cell], only: Sequence[str] | None) -> list[Cell]:
    """The cells whose names begin with one of ``only``.

    Raises:
        Failed: one of them names no cell.
    """
    for name in only or ():
        if not any(_names(name, cell) for cell in found):
            known = ", ".join(dict.fromkeys(cell.name.rpartition("/")[0] for cell in found))
            raise Failed(f"--only: expected one of {known}, with /SEED or without, found {name}")
    return [cell for cell in found if only is None or any(_names(name, cell) for name in only)]


def _names(name: str, cell: Cell) -> bool:
    return name in (cell.name, cell.name.rpartition("/")[0])


def _plan(args: argparse.Namespace, size: Size, data: Photographs) -> Plan:
    """The plan of --plan or of --out; a new one where there is none yet.

    Raises:
        Failed: it was made for another size or set.
    """
    file = args.out / "plan.json"
    if args.plan and file.exists() and plan.read(args.plan) != plan.read(file):
        raise Failed(
            f"--plan {args.plan}: expected the plan of {file}, found another; leave it out or name another --out"
        )
    if args.plan or file.exists():
        made = plan.read(args.plan or file)
        facts = data.facts()
        if made.size != args.size or made.data != facts:
            raise Failed(
                f"{args.plan or file}: expected a plan for --size {args.size} and the set {facts['fingerprint']}, "
                f"found {made.size} and {made.data['fingerprint']}; name another --out"
            )
    elif args.report_only:
        raise Failed(f"--report-only: expected the plan of an earlier call in {file}, found none; leave it out")
    else:
        made = plan.make(args.size, size, data, args.out, _machine(size.jobs))
    args.out.mkdir(parents=True, exist_ok=True)
    plan.write(file, made)
    return made


def _machine(jobs: int) -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
    return f"{device}, {os.cpu_count()} cores, torch {torch.__version__}, {jobs} commands side by side"


if __name__ == "__main__":
    sys.exit(main())
