"""How long an evaluation takes, by hotcoco and by pycocotools, and from two files to a run record.

python -m benchmarks.evaluate [--quick] [--rounds N] [--json OUT]

Builds a ground truth and detections of COCO val2017's size (5000 images, 80 classes, 50 detections an image, with
masks), writes them as files, and measures both engines in turn within every round, so that a drift of the machine
meets them alike. What both engines find is compared before anything is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks import outputs
from benchmarks.outputs import progress
from benchmarks.sets import detections
from transfer.__main__ import main as transfer
from transfer.records.record import TASKS
from transfer.reporting.markdown import table

TARGETS = {"bbox": 100.0, "segm": 30.0, "files to record": 10.0}


def entries(results: Path, task: str) -> list[dict[str, Any]]:
    """Return the detections with what ``task`` reads alone."""
    other = {"bbox": "segmentation", "segm": "bbox"}[task]
    return [{k: v for k, v in entry.items() if k != other} for entry in json.loads(results.read_text())]


class Engine:
    """One engine with everything loaded: what is timed is its evaluation and accumulation."""

    def __init__(self, kind: str, gt: Path, results: Path, task: str) -> None:
        self._task = task
        self._classes: tuple[Any, Any] = (hotcoco.COCO, hotcoco.COCOeval) if kind == "hotcoco" else (COCO, COCOeval)
        with contextlib.redirect_stdout(io.StringIO()):
            self._reference = self._classes[0](str(gt))
            self._found = self._reference.loadRes(entries(results, task))

    def run(self) -> tuple[float, Any]:
        """Return (seconds, precision)."""
        evaluation = self._classes[1](self._reference, self._found, self._task)
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            evaluation.evaluate()
            evaluation.accumulate()
            seconds = time.perf_counter() - start
        return seconds, evaluation.eval["precision"]


def plain(gt: Path, results: Path, out: Path) -> None:
    """Do what pycocotools' own page says, from the files to a file of the twelve numbers of both tasks."""
    numbers = {}
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(str(gt))
        for task in TASKS:
            evaluation = COCOeval(reference, reference.loadRes(entries(results, task)), task)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            numbers[task] = evaluation.stats.tolist()
    out.write_text(json.dumps(numbers))


def ours(gt: Path, results: Path, out: Path) -> None:
    """Run the verb: reading, every check, both tasks, TIDE, the record."""
    with contextlib.redirect_stdout(io.StringIO()):
        words = ["evaluate", "--gt", str(gt), "--detections", str(results), "--out", str(out), "--force"]
        if transfer(words):
            raise RuntimeError("the verb refused the benchmark's own files")


def timed(act: Callable[..., None], *args: Path) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    act(*args)
    return time.perf_counter() - start


def measure(gt: Path, results: Path, rounds: int) -> dict[str, Any]:
    """Return seconds and ratios of every row: engines by task, then files to record."""
    rows: dict[str, Any] = {}
    for task in TASKS:
        engines = {kind: Engine(kind, gt, results, task) for kind in ("hotcoco", "pycocotools")}
        seconds: dict[str, list[float]] = {kind: [] for kind in engines}
        for r in range(rounds):
            metrics = {}
            for kind, engine in engines.items():
                progress(f"{task}, round {r + 1} of {rounds}: {kind}")
                taken, metrics[kind] = engine.run()
                seconds[kind].append(taken)
            if not np.allclose(metrics["hotcoco"], metrics["pycocotools"], rtol=0, atol=1e-12):
                raise RuntimeError(f"{task}: the engines disagree; their times mean nothing")
        rows[task] = _row(seconds["hotcoco"], seconds["pycocotools"], TARGETS[task])
    whole: dict[str, list[float]] = {"ours": [], "plain": []}
    for r in range(rounds):
        progress(f"files to record, round {r + 1} of {rounds}")
        out = gt.parent / "record.json"
        whole["ours"].append(timed(ours, gt, results, out))
        whole["plain"].append(timed(plain, gt, results, gt.parent / "plain.json"))
        _check(json.loads(out.read_text()), json.loads((gt.parent / "plain.json").read_text()))
    rows["files to record"] = _row(whole["ours"], whole["plain"], TARGETS["files to record"])
    progress("")
    return rows


def _check(record: dict[str, Any], numbers: dict[str, list[float]]) -> None:
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
    for task, values in numbers.items():
        theirs = dict(zip(names, values, strict=True))
        for name, value in theirs.items():
            if abs(record["metrics"][task][name] - 100 * value) > 1e-9:
                raise RuntimeError(f"{task} {name}: the record has {record['metrics'][task][name]}, not {100 * value}")


def _row(ours: list[float], theirs: list[float], target: float) -> dict[str, Any]:
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return {
        "seconds": statistics.median(ours),
        "seconds_pycocotools": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "n": len(ratios),
        "target": target,
    }


def as_table(rows: dict[str, Any]) -> str:
    """The rows as a Markdown table."""
    cells = [
        [
            name,
            f"{r['seconds']:.2f}",
            f"{r['seconds_pycocotools']:.1f}",
            f"{r['ratio']:.0f}",
            f"{r['ratio_low']:.0f} to {r['ratio_high']:.0f}",
            f"{r['target']:.0f}",
        ]
        for name, r in rows.items()
    ]
    return table(["what", "seconds", "pycocotools, s", "times as fast", "lowest to highest", "target"], cells)


def _machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine": platform.machine(),
        "cores": cores,
        "threads": int(os.environ.get("RAYON_NUM_THREADS", 0)) or cores,  # hotcoco's; pycocotools has one
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: version(name) for name in ("hotcoco", "pycocotools", "numpy")},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; always 0, machines differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 images, one round: shows that it works")
    parser.add_argument("--rounds", type=int, help="timed rounds (default: 2, with --quick 1)")
    outputs.add_arguments(parser)
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    images, per_image = (40 if args.quick else 5000), 50
    figures: dict[str, Any] = {"machine": _machine(), "images": images, "detections": images * per_image}
    with tempfile.TemporaryDirectory() as folder:
        progress(f"building {images} images with {images * per_image} detections")
        gt, results = detections.build(Path(folder), images, per_image)
        figures["bytes"] = gt.stat().st_size + results.stat().st_size
        figures["rows"] = measure(gt, results, args.rounds or (1 if args.quick else 2))
    machine = figures["machine"]
    print(as_table(figures["rows"]))
    print(
        f"\n{images} images, {images * per_image} detections, {detections.CLASSES} classes, "
        f"{figures['bytes'] / 1e6:.0f} MB of JSON; {machine['machine']}, {machine['threads']} threads for hotcoco "
        f"and one for pycocotools, {machine['load']:.1f} processes running at the start"
    )
    outputs.write(args, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
