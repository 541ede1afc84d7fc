"""``python -m transfer show RUN --images ... --out DIR``: what a run found in images of its val set, as pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from transfer.drawing.png_grid import GridRow, detections_png
from transfer.errors import InputError
from transfer.evaluation.instances import ValSet, read_pixels
from transfer.files.atomic import new_folder
from transfer.records.record_file import read_run
from transfer.records.unchanged import why_changed

MOST_CLASSES = 12  # in a legend; beyond, the labels alone tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder, with a record that kept its detections")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--images", nargs="+", metavar="NAME", help="file names of val images")
    which.add_argument("--random", type=int, metavar="N", help="this many val images, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="draws the random images (default 0)")
    parser.add_argument("--score", type=float, default=0.5, metavar="S", help="least score drawn, 0-1 (default 0.5)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder for the pictures")


def run(args: argparse.Namespace) -> int:
    """Write one PNG an image: the ground truth beside the detections, with masks or boxes, classes and scores.

    Raises:
        InputError: the run kept no detections, its val set is not there any more, no such image, or ``--out`` is taken.
    """
    if not 0 <= args.score <= 1 or args.seed < 0 or (args.random is not None and args.random < 1):
        given = f"{args.random}, {args.seed}, {args.score}"
        raise InputError(f"--random, --seed, --score: expected 1 or more, 0 or more, 0-1, found {given}; change it")
    record = read_run(args.run)
    if record.detections is None:
        raise InputError(f"{args.run}: expected a run that kept its detections, found none; evaluate it again")
    if not record.data.val.images:
        raise InputError(f"{args.run}: expected a record that says where its val images are, found none; show a run")
    annotations, folder = Path(record.data.val.annotations), Path(record.data.val.images)
    if why := why_changed(record.data.val):
        raise InputError(f"{args.run}: expected the ground truth it was measured on, found that {why}; restore it")
    val = ValSet(annotations, folder)
    chosen = val.choose(args.random, args.seed) if args.random else val.named(args.images)
    truth = val.truth(chosen)
    found = val.detections(Path(record.detections), chosen, args.score)
    start = record.init if record.seed is None else f"{record.init}, seed {record.seed}"
    names = []
    with new_folder(args.out) as out:
        for image in chosen:
            name = val.images[image]["file_name"]
            row = GridRow(name, read_pixels(folder / name), [truth[image], found[image]])
            classes = list(val.classes.values())
            caption = f"{record.name}: detections with a score of at least {args.score:g}"
            png = detections_png([row], ["ground truth", start], classes, caption, cell=5.0)
            names.append(f"{Path(name).stem}.png" if Path(name).parent == Path() else f"{image}.png")
            (out / names[-1]).write_bytes(png)
    for name in names:
        print(args.out / name)
    return 0
