"""What each method learns in a time that a CPU has.

python -m benchmarks.learning --cifar10 DIR --out DIR [--methods ...] [--seeds 0 1 2] [--iterations 600]

DIR holds CIFAR-10 as class folders, train/CLASS and test/CLASS. Every method trains on the same images, views and
batches, beside a plain PyTorch loop with lightly's SimCLR loss, and is looked at along the way: nearest neighbours and
linear probe on test images. What is in --out is not done again; an interrupted training goes on from its last
checkpoint. With --held-out the judging images come from the training part, for choosing settings.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import outputs, timing
from benchmarks.learning import cells, peer
from benchmarks.learning.cells import Cell, Length
from benchmarks.learning.judge import Judge, Look, backbone_at, iteration_of, random_backbone
from benchmarks.learning.table import AS_THEY_ARE, WITH_STATISTICS, Row, as_table, courses, curves, differences
from benchmarks.sets.subset import link_subset
from pretrain.atomic import write_text
from pretrain.method.methods import METHODS
from pretrain.reporting.metrics_file import NAME, MetricsFile
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import load_settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cifar10", type=Path, required=True, help="folder with train/CLASS and test/CLASS")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and looks; kept between calls")
    # Contrasting cells of a feature map needs a map of several: not what the ImageNet stem leaves of 32 px.
    usual = [name for name, method in METHODS.items() if not method.dense]
    parser.add_argument("--methods", nargs="*", choices=[*METHODS, peer.NAME], default=[*usual, peer.NAME])
    parser.add_argument("--stem", choices=["imagenet", "small"], default="imagenet", help="default: imagenet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--iterations", type=int, default=600, help="of each training (default: 600)")
    parser.add_argument("--batch", type=int, default=128, help="images per batch (default: 128)")
    parser.add_argument("--size", type=int, default=32, help="side of the views, pixels (default: 32)")
    parser.add_argument("--train", type=int, default=15000, help="training images (default: 15000)")
    parser.add_argument("--test", type=int, default=3000, help="judging images (default: 3000)")
    parser.add_argument("--looks", type=int, default=6, help="how often features are judged (default: 6)")
    parser.add_argument("--options", nargs="*", default=[], metavar="KEY=VALUE", help="settings for every method")
    parser.add_argument("--held-out", action="store_true", help="judge on training images left out, not on test")
    outputs.add_arguments(parser, markdown=True)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing and print the tables; 1 when a run failed."""
    parser = _parser()
    args = parser.parse_args(argv)
    outputs.check(parser, args)
    return outputs.status("benchmarks.learning", lambda: _compare(args), "the same command goes on")


def _compare(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    name = f"set_{args.train}_{args.test}{'_held_out' if args.held_out else ''}"
    root = link_subset(args.cifar10, args.out / name, args.train, args.test, args.held_out)
    judge, length = Judge(root, args.size), Length(args.iterations, args.batch, args.size, args.looks)
    rows = _random(judge, args.seeds, args.stem)
    for method in args.methods:
        looks, seconds = {}, {}
        for seed in args.seeds:
            config = f"{'simclr' if method == peer.NAME else method}_r18_any_100e"
            cell = Cell(method, config, seed, (f"backbone.stem={args.stem}", *args.options))
            outputs.progress(f"{method}, seed {seed}")
            looks[seed] = _looks(cell, judge, root / "train", args.out, length, args.stem)
            seconds[seed] = cells.processor_seconds(cell.folder(args.out))
        folders = {s: cell_folder(args.out, method, s) for s in args.seeds}
        course = [_of_its_parts(line) for line in _metrics(folders[args.seeds[0]])]
        rows.append(Row(method, looks, seconds, _masks(folders), _shares(folders), course))
    curves(rows, args.out / "learning.png")
    settings = {k: v for k, v in vars(args).items() if k not in ("cifar10", "out", "json", "markdown")}
    judged = "held-out training" if args.held_out else "test"
    machine = timing.machine(torch.device("cpu"))
    about = (
        f"{args.iterations} iterations of {args.batch} images, {args.size} px, {args.train} training and {args.test} "
        f"{judged} images, one thread a run; {machine['device']}, {machine['cores']} cores, torch {machine['torch']}"
    )
    tables = (as_table(rows), differences(rows), courses(rows), about)
    text = "\n" + "\n\n".join(filter(None, tables)) + "\n"
    outputs.finish(
        args, {"settings": settings, "machine": machine, "rows": [dataclasses.asdict(row) for row in rows]}, text
    )


def cell_folder(out: Path, method: str, seed: int) -> Path:
    """Where the files of a method's seed lie."""
    return Cell(method, "", seed).folder(out)


def _random(judge: Judge, seeds: Sequence[int], stem: str) -> list[Row]:
    """The two readings of untrained weights: batch norms with the data's statistics, and with none."""
    nets = {seed: random_backbone(seed, stem) for seed in seeds}
    return [
        Row(WITH_STATISTICS, {seed: [judge.look(judge.with_statistics(net), 0)] for seed, net in nets.items()}),
        Row(AS_THEY_ARE, {seed: [judge.look(net, 0)] for seed, net in nets.items()}),
    ]


def _looks(cell: Cell, judge: Judge, images: Path, out: Path, length: Length, stem: str) -> list[Look]:
    """Train and judge a cell, or read what is known of it."""
    file = cell.folder(out) / cells.RESULT
    if file.is_file():
        return [Look(**look) for look in json.loads(file.read_text(encoding="utf-8"))]
    if cell.name == peer.NAME:
        looks = _train_peer(cell, judge, images, out, length)
    else:
        cells.train(cell, images, out, length)
        checkpoints = cells.snapshots(cell, out)
        looks = [judge.look(backbone_at(path, stem), iteration_of(path)) for path in checkpoints]
        for path in checkpoints[:-1]:
            path.unlink()  # they are large, and judged
    write_text(file, json.dumps([dataclasses.asdict(look) for look in looks], indent=1) + "\n")
    return looks


def _train_peer(cell: Cell, judge: Judge, images: Path, out: Path, length: Length) -> list[Look]:
    looks: list[Look] = []
    overrides = [f"views.size={length.size}", f"data.batch={length.batch}", *cell.options]
    settings = load_settings(read_config(cells.CONFIGS / f"{cell.config}.py", overrides))
    seconds = peer.train(images, settings, length, cell.seed, lambda net, t: looks.append(judge.look(net, t)))
    cell.folder(out).mkdir(parents=True, exist_ok=True)
    write_text(cell.folder(out) / "seconds.json", json.dumps(seconds))
    return looks


def _masks(folders: dict[int, Path]) -> dict[int, tuple[float, float]]:
    """The last logged 5 % and 95 % quantiles of the mask."""
    ranges = {}
    for seed, folder in folders.items():
        lines = [line for line in _metrics(folder) if "mask_p05" in line]
        if lines:
            ranges[seed] = (lines[-1]["mask_p05"], lines[-1]["mask_p95"])
    return ranges


def _shares(folders: dict[int, Path]) -> dict[str, float]:
    """Each term's share of the step's gradient, percent: the mean over the log and the seeds."""
    lines = [line for folder in folders.values() for line in _metrics(folder)]
    names = sorted({key for line in lines for key in line if key.startswith("share_")})
    values = {name: [line[name] for line in lines if name in line] for name in names}
    return {name.removeprefix("share_"): 100 * sum(shares) / len(shares) for name, shares in values.items()}


def _of_its_parts(line: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in line.items() if key == "iteration" or key.startswith(("mask_", "share_"))}


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return MetricsFile(folder / "run" / NAME).read()


if __name__ == "__main__":
    sys.exit(main())
