"""A COCO set of single-object scenes as class folders, for kNN and linear probes.

python -m benchmarks.single_objects --train IMAGES ANNOTATIONS --val IMAGES ANNOTATIONS --out DIR

An image's class is that of its one annotation; scenes with none or several are left out and counted. The images are
linked, not copied, where the file system can.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def classes(annotations: Path) -> dict[str, str]:
    """File name -> class name of every image with exactly one annotation."""
    coco = json.loads(annotations.read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in coco["categories"]}
    count = Counter(a["image_id"] for a in coco["annotations"])
    category = {a["image_id"]: names[a["category_id"]] for a in coco["annotations"]}
    return {i["file_name"]: category[i["id"]] for i in coco["images"] if count[i["id"]] == 1}


def write(images: Path, annotations: Path, out: Path) -> tuple[int, int]:
    """Class folders under ``out``, which must not exist; how many images are in them and how many were left out."""
    found = classes(annotations)
    total = len(json.loads(annotations.read_text(encoding="utf-8"))["images"])
    for file, name in found.items():
        target = out / name / Path(file).name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(images / file, target)
        except OSError:  # another file system
            shutil.copyfile(images / file, target)
    return len(found), total - len(found)


def main(argv: Sequence[str] | None = None) -> int:
    """Write both splits; 1 when the input was at fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.single_objects", description=__doc__.splitlines()[0])
    for split in ("train", "val"):
        parser.add_argument(f"--{split}", nargs=2, type=Path, required=True, metavar=("IMAGES", "ANNOTATIONS"))
    parser.add_argument("--out", type=Path, required=True, help="folder to make; must not exist")
    args = parser.parse_args(argv)
    if args.out.exists():
        parser.error(f"--out {args.out}: expected a new folder, found one; remove it or name another")
    for split in ("train", "val"):
        images, annotations = getattr(args, split)
        kept, left_out = write(images, annotations, args.out / split)
        print(f"{split}: {kept} images in class folders, {left_out} without exactly one object left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
