"""Two-view images per second, decoding included, beside lightly and torchvision; and what they cost a training.

python -m benchmarks.views [--quick] [--only views|training] [--json OUT] [--markdown OUT]

First table: SimCLR's full set (crop, flip, colour jitter of strength 1, grey, blur) from JPEGs in memory. All
pipelines are timed in turn within every round, so that a drift of the machine meets all of them alike; the ratio is
taken in each round. Second table: images per second of a training over those of the same step on a fixed batch.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cv2
import torch

from benchmarks import outputs
from benchmarks.feeding import TRAINING_TARGET, Feeding, measure_feeding
from benchmarks.outputs import Failed, progress
from benchmarks.pictures import SIZES, jpegs
from benchmarks.pipelines import PIPELINES, Pipeline
from benchmarks.timing import ratios, spread
from transfer.reporting.markdown import table

VIEWS = (64, 128, 224)
MEAN_TARGET, CELL_TARGET = 4.0, 2.5  # times lightly: geometric mean, every cell
BASELINE = "lightly"


def measure_views(
    views: Sequence[int], rounds: int, seconds: float, processes: int, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A cell per view size and kind of JPEG: the rate of each pipeline and its ratio to lightly's.

    Args:
        views: sides of the views, pixels.
        rounds: how often each pipeline is timed, after one untimed image each.
        seconds: length of one timing.
        processes: how many at once, each with one thread.
        progress: is told what is being measured.
    """
    cells = []
    for kind in SIZES:
        encoded = jpegs(kind, 8)
        for size in views:
            made = {name: build(size) for name, build in PIPELINES.items()}
            for pipeline in made.values():
                pipeline(encoded[0])
            rates: dict[str, list[float]] = {name: [] for name in made}
            for turn in range(rounds):
                progress(f"{processes} process(es), {kind} to {size} px: round {turn + 1} of {rounds}")
                for name, pipeline in made.items():
                    rates[name].append(_rate_of_all(pipeline, encoded, seconds, processes))
            cells.append({"jpeg": kind, "view": size, "processes": processes, "rows": _rows(rates)})
    return cells


def _rows(rates: dict[str, list[float]]) -> dict[str, Any]:
    return {
        name: {
            "images_per_second": spread(values),
            "over_lightly": ratios(values, rates[BASELINE]),
        }
        for name, values in rates.items()
    }


def _rate(pipeline: Pipeline, encoded: Sequence[bytes], seconds: float) -> float:
    """Images per second of this process, whole rounds over the images."""
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        for image in encoded:
            pipeline(image)
        done += len(encoded)
    return done / elapsed


def _rate_of_all(pipeline: Pipeline, encoded: Sequence[bytes], seconds: float, processes: int) -> float:
    if processes == 1:
        return _rate(pipeline, encoded, seconds)
    context = multiprocessing.get_context("fork")
    start, rates = context.Barrier(processes), context.SimpleQueue()

    def work() -> None:
        start.wait()
        rates.put(_rate(pipeline, encoded, seconds))

    workers = [context.Process(target=work) for _ in range(processes)]
    for worker in workers:
        worker.start()
    total = sum(rates.get() for _ in workers)
    for worker in workers:
        worker.join()
    return float(total)


def geometric_mean(cells: Sequence[dict[str, Any]], name: str = "ours") -> float:
    """Geometric mean over the cells of the median ratio to lightly."""
    return math.exp(sum(math.log(c["rows"][name]["over_lightly"]["median"]) for c in cells) / len(cells))


def as_text(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    machine, lines = figures["machine"], []
    if cells := figures.get("views"):
        header = [
            "processes",
            "JPEG",
            "view",
            *(f"{name}, img/s" for name in PIPELINES),
            "ours / lightly",
            "middle half",
        ]
        header.append("torchvision / lightly")
        lines.append(table(header, [_row(cell) for cell in cells]))
        for count in sorted({c["processes"] for c in cells}):
            part = [c for c in cells if c["processes"] == count]
            lowest = min(c["rows"]["ours"]["over_lightly"]["median"] for c in part)
            lines.append(
                f"{count} process(es): geometric mean {geometric_mean(part):.2f} x lightly (target {MEAN_TARGET}), "
                f"lowest cell {lowest:.2f} (target {CELL_TARGET}); medians of "
                f"{part[0]['rows']['ours']['over_lightly']['n']} rounds."
            )
    if feeding := figures.get("training"):
        f = feeding["ratio"]
        lines.append(
            f"Training over the pure step, {feeding['case']}: {f['median']:.3f} ({f['low']:.3f} to {f['high']:.3f}, "
            f"n = {f['n']} rounds; target {TRAINING_TARGET}); pure step {feeding['pure']['median']:.1f} img/s, "
            f"training {feeding['training']['median']:.1f} img/s."
        )
    lines.append(
        f"{machine['device']}, {machine['cores']} cores, {machine['load']:.1f} processes running at the start; "
        + ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
        + "."
    )
    return "\n\n".join(lines) + "\n"


def _row(cell: dict[str, Any]) -> list[str]:
    rows = cell["rows"]
    ratio = rows["ours"]["over_lightly"]
    return [
        str(cell["processes"]),
        cell["jpeg"],
        f"{cell['view']} px",
        *(f"{rows[name]['images_per_second']['median']:.0f}" for name in PIPELINES),
        f"{ratio['median']:.2f}",
        f"{ratio['low']:.2f} to {ratio['high']:.2f}",
        f"{rows['torchvision v2']['over_lightly']['median']:.2f}",
    ]


def _versions(*, with_baseline: bool) -> dict[str, str]:
    """Of Python and of the packages that are measured.

    Raises:
        Failed: the baseline is wanted and not installed.
    """
    packages = ["torch", "torchvision", "pillow", "opencv-python-headless", "simplejpeg"]
    try:
        versions = {p: version(p) for p in [*packages, *([BASELINE] if with_baseline else [])]}
    except PackageNotFoundError as error:
        raise Failed(
            f"{error.name}: expected it installed for the table of views, found nothing; run `pip install .[bench]`, "
            "or leave that table out with --only training"
        ) from None
    return {"python": platform.python_version(), **versions}


def _machine(*, with_baseline: bool) -> dict[str, Any]:
    gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if gpu else f"CPU ({platform.machine()})",
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "versions": _versions(with_baseline=with_baseline),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small cell and a tiny training: shows that it works")
    parser.add_argument("--only", choices=("views", "training"), help="one of the two tables (default: both)")
    parser.add_argument("--rounds", type=int, help="timed rounds (default: 7, with --quick 2)")
    parser.add_argument("--seconds", type=float, help="length of one timing of a pipeline (default: 0.6)")
    outputs.add_arguments(parser, markdown=True)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables. The figures decide nothing: machines differ."""
    parser = _parser()
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    return outputs.status("benchmarks.views", lambda: _measure(args), "nothing was written")


def _measure(args: argparse.Namespace) -> None:
    cv2.setNumThreads(0)
    rounds, seconds = args.rounds or (2 if args.quick else 7), args.seconds or (0.02 if args.quick else 0.6)
    figures: dict[str, Any] = {"machine": _machine(with_baseline=args.only != "training")}
    if args.only != "training":
        figures["views"] = []
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # torchvision's transforms; the processes are the parallelism
        for processes in (1,) if args.quick else sorted({1, len(os.sched_getaffinity(0))}):
            sizes = VIEWS[:1] if args.quick else VIEWS
            figures["views"] += measure_views(sizes, rounds, seconds, processes, progress)
        torch.set_num_threads(threads)
    if args.only != "views":
        figures["training"] = measure_feeding(Feeding.quick() if args.quick else Feeding(), progress)
    outputs.finish(args, figures, as_text(figures))


if __name__ == "__main__":
    sys.exit(main())
