"""Photographs of apples, bananas, oranges, raccoons and kangaroos as one COCO set with five folds; boxes, no masks.

python -m benchmarks.sets.natural --source FOLDER --out DIR [--seed 0]

--source holds three published repositories as they stand: ``fruit/`` (chanjianliu/fruit_recognition, the images beside
their VOC files in ``train/`` and ``test/``), ``raccoon/`` (daiyinger/raccoon_dataset) and ``kangaroo/``
(experiencor/kangaroo). Written are ``images/``, the files unchanged; ``all.json``; for each fold ``fold_K/train.json``
and ``fold_K/val.json``, in which val is a fifth of the images and each image is val once; ``split.json`` with the
groups, the nearest pairs across folds and what was left out.

The photographs come from the web, some of them twice: five pairs are the same bytes, others the same picture at another
size or with other colours. Two images belong to one group when their colours and edges are as close as those of two
frames of one experiment in `benchmarks.sets.nuclei`, or when small grey copies of them, mirrored or not, are nearly the
same; so do all that a chain of such pairs connects. Whole groups go to one fold, class by class.

The VOC files disagree with themselves in three ways, and what is taken is: an image is the one of its VOC file's own
name, as all raccoons' ``filename`` end in .png and their images in .jpg; its size is that of the image, as 37 fruits'
are 0 x 0; an image that cannot be decoded to its end, one kangaroo, is left out and named.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, squareform

from benchmarks import outputs
from benchmarks.outputs import Failed
from benchmarks.sets import nuclei
from pretrain.data.pixels import read_image
from transfer.importing.splitting import deal

CLASSES = ("apple", "banana", "kangaroo", "orange", "raccoon")
# Folder of images, folder of VOC files.
FOLDERS = (
    ("fruit/train", "fruit/train"),
    ("fruit/test", "fruit/test"),
    ("raccoon/images", "raccoon/annotations"),
    ("kangaroo/images", "kangaroo/annots"),
)
FOLDS = 5
ALIKE = 0.98  # correlation of two small grey copies; copies of one picture have 1.000, the next pair 0.966
_SIDE = 16  # of the small copies, pixels
_COMPARED = 128  # shorter side at which colours and edges are compared, as copies come in any size, pixels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Photograph:
    """One image and its objects.

    Attributes:
        file: where it lies; its name is the only one of its kind in the set.
        size: (height, width), pixels.
        descriptor: of colours and edges (`benchmarks.sets.nuclei.descriptor`).
        small: a grey copy of 16 x 16 pixels, centred and of length 1, (256,).
        objects: (class, x, y, width, height) in pixels.
    """

    file: Path
    size: tuple[int, int]
    descriptor: Floats
    small: Floats
    objects: tuple[tuple[str, float, float, float, float], ...]


def read_photograph(image: Path, annotation: Path) -> Photograph | None:
    """Read an image and its VOC file; None for an image that cannot be decoded to its end.

    Raises:
        Failed: the image is missing, or the VOC file is none, has no object, or one of another class or outside.
    """
    if not image.is_file():
        raise Failed(f"{annotation}: expected {image.name} for it, found none; give the published layout")
    pixels = read_image(image)
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    objects = tuple(_objects(annotation, width, height))
    scale = _COMPARED / min(height, width)
    bgr = cv2.resize(pixels[..., ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    alike = np.asarray(bgr, dtype=np.uint8)
    return Photograph(image, (height, width), nuclei.descriptor(alike), small_copy(alike), objects)


def _objects(annotation: Path, width: int, height: int) -> list[tuple[str, float, float, float, float]]:
    try:
        entries = ElementTree.parse(annotation).getroot().findall("object")
        corners = [[float(entry.findtext(f"bndbox/{key}", "")) for key in _CORNERS] for entry in entries]
    except (ElementTree.ParseError, ValueError) as error:
        raise Failed(f"{annotation}: expected a VOC file with boxes, found something else ({error})") from None
    objects = []
    for entry, (x0, y0, x1, y1) in zip(entries, corners, strict=True):
        name = entry.findtext("name", "")
        inside = 0 < x0 <= x1 <= width and 0 < y0 <= y1 <= height  # VOC counts pixels from 1 and includes the last
        if name not in CLASSES or not inside:
            raise Failed(
                f"{annotation}: expected {', '.join(CLASSES)} inside {width}x{height}, found {name!r} at "
                f"{[x0, y0, x1, y1]}"
            )
        objects.append((name, x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1))
    if not objects:
        raise Failed(f"{annotation}: expected at least one object, found none")
    return objects


_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def small_copy(image: nuclei.Pixels) -> Floats:
    """A grey copy of 16 x 16 pixels without its mean and of length 1, (256,); zeros for an image of one grey."""
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    centred = small.astype(np.float64).ravel()
    centred -= centred.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-9)


def distances(photographs: Sequence[Photograph]) -> Floats:
    """How far apart each two are, (N, N): below 1 they belong together, by colours and edges or by the small copies."""
    descriptors = np.stack([one.descriptor for one in photographs])
    small = np.stack([one.small for one in photographs])
    mirrored = small.reshape(-1, _SIDE, _SIDE)[:, :, ::-1].reshape(len(small), -1)
    likeness = np.maximum(small @ small.T, small @ mirrored.T)
    by_copies = np.maximum(1 - np.maximum(likeness, likeness.T), 0) / (1 - ALIKE)
    by_colours = cdist(descriptors, descriptors) / nuclei.LIMIT
    nearest: Floats = np.minimum(by_copies, by_colours)
    np.fill_diagonal(nearest, 0)
    return nearest


def group(apart: Floats) -> list[list[int]]:
    """Indices of the images that must stay together, the largest group first."""
    labels = fcluster(linkage(squareform(apart, checks=False), "single"), 1.0, "distance")
    groups = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
    return sorted(groups, key=lambda g: (-len(g), g[0]))


def folds(photographs: Sequence[Photograph], groups: Sequence[Sequence[int]], seed: int) -> list[list[int]]:
    """Deal whole groups out to five folds, class by class (a group's class is its most frequent one)."""
    by_class: dict[str, list[Sequence[int]]] = {}
    for members in groups:
        counts = Counter(entry[0] for k in members for entry in photographs[k].objects)
        by_class.setdefault(max(counts, key=lambda name: (counts[name], name)), []).append(members)
    shares = {str(k): 1 / FOLDS for k in range(FOLDS)}
    dealt: list[list[int]] = [[] for _ in range(FOLDS)]
    for name in sorted(by_class):
        for fold, members in deal(by_class[name], shares, seed).items():
            dealt[int(fold)] += members
    return [sorted(fold) for fold in dealt]


def as_coco(photographs: Sequence[Photograph]) -> dict[str, Any]:
    """The content of a COCO file; ids count from 1."""
    ids = {name: number for number, name in enumerate(CLASSES, 1)}
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    for number, one in enumerate(photographs, 1):
        height, width = one.size
        content["images"].append({"id": number, "file_name": one.file.name, "height": height, "width": width})
        for name, x, y, w, h in one.objects:
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": ids[name],
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    return content


def make(source: Path, out: Path, seed: int) -> dict[str, Any]:
    """Write the whole set; returns how many images and objects it has, by class, and what was left out.

    Raises:
        Failed: a folder is missing, two images have one name, or an image or VOC file cannot be used.
    """
    photographs, left_out = [], []
    for images, voc in FOLDERS:
        files = sorted((source / voc).glob("*.xml"))
        if not files:
            raise Failed(f"--source {source}: expected VOC files in {voc}, found none; give the three folders")
        for file in files:
            one = read_photograph(source / images / f"{file.stem}.jpg", file)
            if one is None:
                left_out.append(f"{images}/{file.stem}.jpg")
            else:
                photographs.append(one)
    twice = [name for name, n in Counter(one.file.name for one in photographs).items() if n > 1]
    if twice:
        raise Failed(f"--source {source}: expected every image under its own name, found {twice[0]} twice")
    if len(photographs) < FOLDS:
        raise Failed(f"--source {source}: expected at least {FOLDS} images that can be read, found {len(photographs)}")
    apart = distances(photographs)
    groups = group(apart)
    dealt = folds(photographs, groups, seed)
    (out / "images").mkdir(parents=True, exist_ok=True)
    for one in photographs:
        shutil.copyfile(one.file, out / "images" / one.file.name)
    _write(out / "all.json", as_coco(photographs))
    for number, members in enumerate(dealt):
        folder = out / f"fold_{number}"
        folder.mkdir(exist_ok=True)
        val = set(members)
        _write(folder / "val.json", as_coco([photographs[k] for k in members]))
        _write(folder / "train.json", as_coco([one for k, one in enumerate(photographs) if k not in val]))
    summary = {
        "images": len(photographs),
        "objects": dict(sorted(Counter(entry[0] for one in photographs for entry in one.objects).items())),
        "left_out": left_out,
        "folds": [len(members) for members in dealt],
    }
    nearest = _nearest_across(apart, dealt)
    about = {
        **summary,
        "seed": seed,
        "colour_limit": nuclei.LIMIT,
        "copy_limit": ALIKE,
        "groups": [[photographs[k].file.name for k in members] for members in groups if len(members) > 1],
        "nearest_pair_across": {
            "images": [photographs[k].file.name for k in nearest],
            "distance": float(apart[nearest]),
        },
    }
    _write(out / "split.json", about, indent=1)
    return summary


def _nearest_across(apart: Floats, dealt: Sequence[Sequence[int]]) -> tuple[int, int]:
    """The most alike pair of two folds; from a distance of 1 on no limit is broken."""
    fold = np.empty(len(apart), np.int64)
    for number, members in enumerate(dealt):
        fold[list(members)] = number
    across = np.where(fold[:, None] == fold[None], np.inf, apart)
    a, b = np.unravel_index(int(across.argmin()), across.shape)
    return int(a), int(b)


def _write(path: Path, content: dict[str, Any], indent: int | None = None) -> None:
    path.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the set; 1 when the input was at fault."""
    summary = "Photographs with boxes of five classes as one COCO set with five folds."
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sets.natural", description=summary)
    parser.add_argument("--source", type=Path, required=True, help="folder with fruit, raccoon and kangaroo")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=0, help="of the order of equally large groups (default: 0)")
    args = parser.parse_args(argv)
    return outputs.status(
        "benchmarks.sets.natural",
        lambda: print(make(args.source, args.out, args.seed)),
        "the same command starts anew",
    )


if __name__ == "__main__":
    sys.exit(main())
