"""The objects of a COCO set as class folders, for kNN and linear probes.

python -m benchmarks.sets.single_objects --train IMAGES ANNOTATIONS --val IMAGES ANNOTATIONS --out DIR
    [--crop SIDE [--every]]

An image's class is that of its one annotation; scenes with none or several are left out and counted. The images are
linked, not copied, where the file system can. With --crop each is cut to the square around its object: on a whole
scene nearest neighbours compare backgrounds, which have no class. With --every each annotation makes such a crop, in
scenes with several too; objects below 16 pixels are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

MARGIN = 1.2  # side of the square over the longer side of the object's box
LEAST = 16  # longer side of an object that is cut out, pixels


@dataclass(frozen=True)
class Scene:
    """An object and its image.

    Attributes:
        file: name below the folder of images.
        name: class.
        box: x, y, width, height in pixels.
        annotation: its id, where its image has several objects; makes the crop's name its own.
    """

    file: str
    name: str
    box: tuple[float, float, float, float]
    annotation: int | None = None


def scenes(annotations: Path) -> tuple[list[Scene], int]:
    """The images with exactly one annotation, and how many others there are."""
    coco = json.loads(annotations.read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in coco["categories"]}
    count = Counter(a["image_id"] for a in coco["annotations"])
    single = {a["image_id"]: a for a in coco["annotations"] if count[a["image_id"]] == 1}
    objects = [
        Scene(i["file_name"], names[single[i["id"]]["category_id"]], tuple(single[i["id"]]["bbox"]))
        for i in coco["images"]
        if i["id"] in single
    ]
    return objects, len(coco["images"]) - len(objects)


def every_object(annotations: Path) -> tuple[list[Scene], int]:
    """Every annotated object, crowds apart, and how many were too small."""
    coco = json.loads(annotations.read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in coco["categories"]}
    files = {i["id"]: i["file_name"] for i in coco["images"]}
    annotated = [a for a in coco["annotations"] if not a.get("iscrowd")]
    objects = [
        Scene(files[a["image_id"]], names[a["category_id"]], tuple(a["bbox"]), a["id"])
        for a in annotated
        if max(a["bbox"][2:]) >= LEAST
    ]
    return objects, len(annotated) - len(objects)


def write(scene: Scene, images: Path, out: Path, side: int | None) -> None:
    """Put the image into its class folder below ``out``: linked, or cut to a square of ``side`` pixels."""
    stem, suffix = Path(scene.file).stem, Path(scene.file).suffix
    number = "" if scene.annotation is None else f"_{scene.annotation}"
    target = out / scene.name / f"{stem}{number}{suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    if side is not None:
        image = cv2.imread(str(images / scene.file))
        if image is None:
            raise SystemExit(f"{images / scene.file}: expected an image, found none that can be read")
        cv2.imwrite(str(target.with_suffix(".png")), around(image, scene.box, side))
        return
    try:
        os.link(images / scene.file, target)
    except OSError:  # another file system
        shutil.copyfile(images / scene.file, target)


def around(image: NDArray[Any], box: tuple[float, float, float, float], side: int) -> NDArray[Any]:
    """The square around a box, moved into the image where it sticks out: (H, W, 3) -> (side, side, 3)."""
    x, y, width, height = box
    length = min(MARGIN * max(width, height), *image.shape[:2])
    corner = (x + width / 2 - length / 2, y + height / 2 - length / 2)
    left, top = (round(min(max(c, 0), n - length)) for c, n in zip(corner, image.shape[1::-1], strict=True))
    end = max(1, round(length))
    return cv2.resize(image[top : top + end, left : left + end], (side, side), interpolation=cv2.INTER_AREA)


def main(argv: Sequence[str] | None = None) -> int:
    """Write both splits; 1 when the input was at fault."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sets.single_objects", description=__doc__.splitlines()[0]
    )
    for split in ("train", "val"):
        parser.add_argument(f"--{split}", nargs=2, type=Path, required=True, metavar=("IMAGES", "ANNOTATIONS"))
    parser.add_argument("--out", type=Path, required=True, help="folder to make; must not exist")
    parser.add_argument("--crop", type=int, metavar="SIDE", help="cut to the square around the object, pixels")
    parser.add_argument("--every", action="store_true", help="every object, also of scenes with several; with --crop")
    args = parser.parse_args(argv)
    if args.out.exists():
        parser.error(f"--out {args.out}: expected a new folder, found one; remove it or name another")
    if args.every and args.crop is None:
        parser.error("--every: expected --crop SIDE beside it, found none; a scene of several objects has no one class")
    for split in ("train", "val"):
        images, annotations = getattr(args, split)
        objects, left_out = (every_object if args.every else scenes)(annotations)
        for scene in objects:
            write(scene, images, args.out / split, args.crop)
        why = f"below {LEAST} pixels" if args.every else "without exactly one object"
        print(f"{split}: {len(objects)} images in class folders, {left_out} {why} left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
