"""The arguments of ``python -m transfer data``."""

from __future__ import annotations

import argparse
from pathlib import Path

from transfer.commands import entry

SUMMARY = "write labels of labelme, YOLO, CVAT, Roboflow, Label Studio, VOC or mask files as a clean COCO set"
EPILOG = """SOURCE stays as it is. What is left out or put right is counted and printed; docs/data.md draws the folder
of each tool."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the folder as the tool left it, unpacked")
    parser.add_argument("--to", type=Path, required=True, metavar="OUT", help="new or empty folder for the COCO set")
    parser.add_argument(
        "--format", metavar="NAME", help="coco, labelme, voc, yolo or masks (default: seen from the files)"
    )
    parser.add_argument(
        "--split",
        metavar="A/B[/C]",
        help="percent for train, val and test, such as 80/20 (default: the source's splits)",
    )
    parser.add_argument(
        "--group-by",
        metavar="WAY",
        help="what stays on one side of --split: folder, likeness, or prefix:REGEX of file names (default: each image)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="decides which images go where (default 0)")
    parser.add_argument(
        "--images",
        default="copy",
        metavar="WAY",
        help="copy, hardlink or symlink; a copy outlives the source and changes with nothing (default copy)",
    )
    parser.add_argument("--boxes", action="store_true", help="leave masks out")
    parser.add_argument(
        "--class", dest="category", default="object", metavar="NAME", help="class of a folder of masks (default object)"
    )
    parser.add_argument(
        "--areas",
        metavar="HOW",
        help="masks of one value in areas apart: apart (an object each) or joined (one object)",
    )
    parser.add_argument(
        "--crowds", metavar="HOW", help="where most objects are crowds, as CVAT's brush makes them: objects or keep"
    )
    parser.add_argument("--skip-missing", action="store_true", help="leave out labelled images that are missing")
    parser.add_argument("--depth", type=int, metavar="BITS", help="bits in use of 16-bit images, 9-15; written with 8")


def run(args: argparse.Namespace) -> int:
    """Write the set; print what it holds and what was done."""
    from transfer.importing.imported_set import table
    from transfer.importing.importer import import_data

    with entry.notes():
        data = import_data(
            args.source,
            args.to,
            format=args.format,
            split=args.split,
            group_by=args.group_by,
            seed=args.seed,
            images=args.images,
            boxes=args.boxes,
            category=args.category,
            areas=args.areas,
            crowds=args.crowds,
            skip_missing=args.skip_missing,
            depth=args.depth,
        )
    print(table(data, args.source))
    return 0
