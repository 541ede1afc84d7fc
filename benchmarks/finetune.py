"""`transfer finetune` and `transfer predict` beside what Detectron2's own parts give, and how fast commands start.

python -m benchmarks.finetune [--quick] [--only training|prediction|start] [--pairs N] [--iterations N] [--config FILE]
                              [--side PIXELS] [--set DIR] [--json OUT] [--markdown OUT]

Both sides train the same config on the same data from random weights with the same seed, each in a process of its own,
in pairs, the order turned from pair to pair, so that a drift of the machine meets both alike. The other side is
`benchmarks.stock_detectron2`. Seconds of an iteration are taken between the first and the last line of TensorBoard's
log, which both sides write; everything that an iteration brings along is in them. A ratio is theirs over ours: above 1
ours is faster.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import outputs, timing
from benchmarks.outputs import Failed, progress
from transfer.reporting.markdown import table

PARTS = ("training", "prediction", "start")
HELP_TARGET, CONVERT_TARGET = 0.3, 3.0  # seconds
LOGGED = "total_loss"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        pairs: runs of each side.
        iterations: of each training; at least 40, two lines of the log.
        images: that are predicted, beside one alone for what a start costs.
        starts: of each command.
        train, val, side: images of the set that is made where none is given, and their side in pixels.
        config: what is trained, a path or the name of a packaged config.
    """

    pairs: int = 5
    iterations: int = 120
    images: int = 200
    starts: int = 7
    train: int = 240
    val: int = 60
    side: int = 96
    config: str = "digits_mask_rcnn_R_18_FPN_demo"

    @staticmethod
    def quick() -> Size:
        """Small enough to show that it works."""
        return Size(pairs=1, iterations=22, images=3, starts=1, train=6, val=2)


@dataclass(frozen=True)
class Spent:
    """Wall and processor seconds of a process and its children, and when it began (seconds since the epoch)."""

    wall: float
    cpu: float
    began: float


def spent(words: Sequence[str], log: Path) -> Spent:
    """Run a Python command to its end.

    Args:
        words: of the command, after ``python``.
        log: takes what it prints.

    Raises:
        Failed: it did not end well; the line has its last words.
    """
    began, start = time.time(), time.perf_counter()
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen([sys.executable, *words], stdout=out, stderr=subprocess.STDOUT)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:] or ["nothing"]
        raise Failed(f"{' '.join(words[:3])}: expected it to end with 0, found {process.returncode}: {last[0]}")
    return Spent(wall, usage.ru_utime + usage.ru_stime, began)


def logged(folder: Path) -> list[tuple[int, float]]:
    """Return (iteration, seconds since the epoch) of every line of TensorBoard's log of a training, in order.

    Raises:
        Failed: fewer than two.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    lines = [(e.step, e.wall_time) for e in events.Scalars(LOGGED)] if LOGGED in events.Tags()["scalars"] else []
    if len(lines) < 2:
        raise Failed(f"{folder}: expected at least two lines of TensorBoard's log, found {len(lines)}")
    return lines


def training(size: Size, folder: Path, data: Path) -> dict[str, Any]:
    """Seconds of both sides' trainings, and the ratios.

    Args:
        size: how much.
        folder: takes all runs.
        data: a set as `transfer.demo.digits` writes it.
    """
    sides: dict[str, list[dict[str, float]]] = {"ours": [], "stock": []}
    for pair in range(size.pairs):
        for side in ("ours", "stock") if pair % 2 == 0 else ("stock", "ours"):
            progress(f"training: pair {pair + 1} of {size.pairs}, {side}")
            sides[side].append(_trained(side, size, folder, folder / f"{side}_{pair}", data))
    return {**_compared(sides)}


def _trained(side: str, size: Size, folder: Path, out: Path, data: Path) -> dict[str, float]:
    sets = {
        role: [f"{data}/coco/{role}", f"{data}/coco/annotations/instances_{role}.json"] for role in ("train", "val")
    }
    if side == "ours":
        words = ["-m", "transfer", "finetune", "--config-file", size.config, "--init", "random", "--seed", "0"]
        words += ["--train", *sets["train"], "--val", *sets["val"], "OUTPUT_DIR", str(out)]
        words += ["SOLVER.MAX_ITER", str(size.iterations), "SOLVER.STEPS", "()"]
    else:
        config = str(folder / "ours_0" / "config.yaml")
        words = ["-m", "benchmarks.stock_detectron2", "train", config, *sets["train"], *sets["val"], str(out)]
    whole = spent(words, folder / f"{out.name}.txt")
    lines = logged(out)
    (first, first_at), (last, last_at) = lines[0], lines[-1]
    iteration = (last_at - first_at) / (last - first)
    return {
        "whole": whole.wall,
        "whole, processor": whole.cpu,
        "an iteration": iteration,
        "before the first iteration": max(0.0, first_at - whole.began - (first + 1) * iteration),
        "after the last iteration": whole.began + whole.wall - last_at,
    }


def prediction(size: Size, folder: Path, run: Path, images: Sequence[Path]) -> dict[str, Any]:
    """Seconds an image of both sides, beside a start, and the ratios.

    Args:
        size: how much.
        folder: takes results.
        run: a finished run of ours.
        images: to look at, repeated as often as it takes.
    """
    many, one = folder / "many", folder / "one"
    for place, count in ((many, size.images), (one, 1)):
        place.mkdir()
        for k in range(count):
            shutil.copyfile(images[k % len(images)], place / f"{k:05d}{images[0].suffix}")
    sides: dict[str, list[dict[str, float]]] = {"ours": [], "stock": []}
    for pair in range(size.pairs):
        for side in ("ours", "stock") if pair % 2 == 0 else ("stock", "ours"):
            progress(f"prediction: pair {pair + 1} of {size.pairs}, {side}")
            times = [_predicted(side, run, place, folder / f"{side}_{place.name}_{pair}.json") for place in (many, one)]
            extra = size.images - 1
            sides[side].append(
                {
                    "whole": times[0].wall,
                    "an image": (times[0].wall - times[1].wall) / extra,
                    "an image, processor": (times[0].cpu - times[1].cpu) / extra,
                }
            )
    return {"images": size.images, **_compared(sides)}


def _predicted(side: str, run: Path, images: Path, out: Path) -> Spent:
    if side == "ours":
        words = ["-m", "transfer", "predict", str(run), "--images", str(images), "--out", str(out)]
    else:
        words = ["-m", "benchmarks.stock_detectron2", "predict", str(run), str(images), str(out)]
    return spent(words, out.with_suffix(".txt"))


def _compared(sides: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    names = list(sides["ours"][0])
    columns = {side: {name: [run[name] for run in runs] for name in names} for side, runs in sides.items()}
    rows = {}
    for name in names:
        ours, stock = columns["ours"][name], columns["stock"][name]
        rows[name] = {"ours": timing.spread(ours), "stock": timing.spread(stock)}
        if min(ours) > 0:
            rows[name]["ratio"] = timing.ratios(stock, ours)
    return {"rows": rows}


def starts(size: Size, folder: Path) -> dict[str, Any]:
    """Seconds of commands that do little: the help, a converted ResNet-18, and importing PyTorch to compare with."""
    source = folder / "source.pth"
    _weights(source)
    commands: dict[str, tuple[float | None, Callable[[int], list[str]]]] = {
        "python -c 'import torch'": (None, lambda k: ["-c", "import torch"]),
        "python -m transfer --help": (HELP_TARGET, lambda k: ["-m", "transfer", "--help"]),
        "python -m transfer convert of a ResNet-18": (
            CONVERT_TARGET,
            lambda k: ["-m", "transfer", "convert", str(source), "--to", "detectron2", "--out", f"{folder}/d2_{k}.pth"],
        ),
    }
    times: dict[str, list[Spent]] = {name: [] for name in commands}
    for turn in range(size.starts + 1):
        for name, (_, words) in commands.items():
            progress(f"start: round {turn} of {size.starts}, {name}")
            one = spent(words(turn), folder / "start.txt")
            if turn:  # the first finds nothing in the disk's cache
                times[name].append(one)
    return {
        name: {
            "target": target,
            "wall": timing.spread([one.wall for one in times[name]]),
            "cpu": timing.spread([one.cpu for one in times[name]]),
        }
        for name, (target, _) in commands.items()
    }


def _weights(path: Path) -> None:
    import torchvision

    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)


def as_text(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    parts = []
    for part in ("training", "prediction"):
        if part in figures:
            header = [f"{part}, seconds", "ours", "middle half", "Detectron2's", "middle half", "theirs / ours"]
            rows = [_row(name, row) for name, row in figures[part]["rows"].items()]
            parts.append(table(header, rows))
    if "start" in figures:
        rows = [
            [
                name,
                "–" if row["target"] is None else f"{row['target']:g}",
                *_spread(row["wall"]),
                *_spread(row["cpu"])[:1],
            ]
            for name, row in figures["start"].items()
        ]
        parts.append(table(["start, seconds", "at most", "median", "middle half", "processor"], rows))
    machine = figures["machine"]
    n = figures["size"]
    parts.append(
        f"Medians of {n['pairs']} pairs ({n['starts']} starts). {machine['device']}, {machine['cores']} cores, "
        f"{machine['threads']} threads, torch {machine['torch']}, {machine['load']:.1f} processes running at the start."
    )
    return "\n\n".join(parts) + "\n"


def _row(name: str, row: dict[str, Any]) -> list[str]:
    ratio = f"{row['ratio']['median']:.2f}" if "ratio" in row else "–"
    return [name, *_spread(row["ours"]), *_spread(row["stock"]), ratio]


def _spread(values: dict[str, float]) -> list[str]:
    return [f"{values['median']:.3f}", f"{values['low']:.3f} to {values['high']:.3f}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one pair: shows that it works")
    parser.add_argument("--only", choices=PARTS, help="one of the three tables (default: all)")
    parser.add_argument("--pairs", type=int, help="runs of each side (default: 5)")
    parser.add_argument("--iterations", type=int, help="of each training, at least 40 (default: 120)")
    parser.add_argument("--config", help=f"what is trained (default: {Size.config})")
    parser.add_argument("--side", type=int, help="of the images that are made, pixels (default: 96)")
    parser.add_argument("--set", type=Path, metavar="DIR", help="as transfer.demo.digits writes it (default: made)")
    outputs.add_arguments(parser, markdown=True)
    return parser


_GIVEN = ("pairs", "iterations", "config", "side")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; exits as `outputs.status` does. The figures decide nothing: machines differ."""
    parser = _parser()
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    for flag, least in (("pairs", 1), ("iterations", 40)):
        value = getattr(args, flag)
        if value is not None and value < least:
            parser.error(f"--{flag}: expected at least {least}, found {value}")
    return outputs.status("benchmarks.finetune", lambda: _measure(args), "nothing was written")


def _measure(args: argparse.Namespace) -> None:
    size = Size.quick() if args.quick else Size()
    size = Size(**{**vars(size), **{k: v for k in _GIVEN if (v := getattr(args, k)) is not None}})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    figures: dict[str, Any] = {"machine": timing.machine(device), "size": vars(size)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.only != "start":
            data = args.set or _made(size, folder / "digits")
            once = replace(size, pairs=1) if args.only == "prediction" else size  # what predicts has to be trained
            figures["training"] = training(once, folder, data)
            if args.only != "training":
                (folder / "predictions").mkdir()
                images = sorted((data / "coco" / "val").iterdir())
                figures["prediction"] = prediction(size, folder / "predictions", folder / "ours_0", images)
            if args.only == "prediction":
                del figures["training"]
        if args.only in (None, "start"):
            figures["start"] = starts(size, folder)
    outputs.finish(args, figures, as_text(figures))


def _made(size: Size, out: Path) -> Path:
    progress("the set")
    counts = ["--train", str(size.train), "--val", str(size.val), "--unlabeled", "1", "--size", str(size.side)]
    spent(["-m", "transfer.demo.digits", "--out", str(out), *counts], out.with_suffix(".txt"))
    return out


if __name__ == "__main__":
    sys.exit(main())
