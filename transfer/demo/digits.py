"""A small detection and instance-segmentation set from real pixels that ship inside scikit-learn.

Real handwritten digits (``load_digits``) in strong colours on crops of real photographs (``load_sample_images``),
1-3 to an image, with exact masks of the visible part, as COCO (polygons that rasterise to the very mask, so stock
Detectron2 reads them as they are) and as Pascal VOC, beside a folder of unlabelled images.

Train and val share no digit (each class's last quarter is val's) and no pixel of a photograph (val has the right-hand
part). The unlabelled images come from train's digits and train's part. Image i of a split depends on the seed, the
split, i, the image size and the classes, and on nothing else; the same command writes the same bytes.

    python -m transfer.demo.digits --out DIR [--train 240] [--val 60] [--unlabeled 600] [--size 96] [--classes 0 2 4]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from transfer.demo.coco_voc import CocoVocWriter, jpeg
from transfer.demo.scenes import Scene, Shape, compose
from transfer.errors import InputError
from transfer.exit_codes import exit_code
from transfer.files import places
from transfer.files.atomic import new_folder

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CLASSES = (0, 2, 4)  # of all triples, the one whose least alike pair is told apart best by nearest neighbours
SPLITS = ("train", "val", "unlabeled")  # the order is part of every image's random numbers: append only
TRAIN_DIGITS = 0.75  # share of each class; the list runs writer by writer, so most writers are on one side only
TRAIN_WIDTH = 0.7  # share of each photograph's width
SIDES = (0.30, 0.58)  # height of an upright digit, as a share of the image's side
MOST = 3  # digits in an image
CROP = (72, 184)  # side of the crop in the photograph, pixels; the val part is 192 wide
SIZES = (48, 512)

CREDITS = """\
Made by: python -m transfer.demo.digits {command}
Digits: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, as
shipped by scikit-learn. Photographs, as shipped by scikit-learn, both CC BY 2.0 (creativecommons.org/licenses/by/2.0):
china.jpg by danielbuechele (flickr.com/photos/danielbuechele), flower.jpg by vultilion (flickr.com/photos/vultilion).
They were cropped, scaled, mirrored and painted over with digits.
"""


@dataclass(frozen=True)
class Settings:
    """What the set looks like: image side in pixels, digits used as classes, images per split, seed."""

    size: int = 96
    classes: tuple[int, ...] = CLASSES
    train: int = 240
    val: int = 60
    unlabeled: int = 600
    seed: int = 0

    def check(self) -> None:
        """Raise InputError when a setting cannot be used."""
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise InputError(f"--size: expected {SIZES[0]}-{SIZES[1]} pixels, found {self.size}; choose one of these")
        if not self.classes or len(set(self.classes)) < len(self.classes) or not set(self.classes) <= set(range(10)):
            classes = " ".join(map(str, self.classes)) or "none"
            raise InputError(f"--classes: expected different digits 0-9, found {classes}; name each once")
        if min(self.train, self.val, self.unlabeled) < 1 or self.seed < 0:
            counts = f"{self.train}, {self.val}, {self.unlabeled}, seed {self.seed}"
            raise InputError(
                f"--train, --val, --unlabeled: expected 1 or more, --seed 0 or more, found {counts}; change it"
            )


class Sources:
    """The real pixels, halved: what train may use and what val may use.

    Attributes:
        shapes: half -> class number -> the digits of that class.
        photos: half -> list of (name, first column in the photograph, pixels (H, W, 3) uint8).
    """

    def __init__(self, classes: tuple[int, ...]) -> None:
        """Read both from scikit-learn.

        Raises:
            InputError: scikit-learn is not installed.
        """
        try:
            from sklearn.datasets import load_digits, load_sample_images
        except ModuleNotFoundError as error:
            raise InputError(
                f"the demo's images are missing: expected scikit-learn, found {error}; pip install scikit-learn"
            ) from None
        self.shapes: dict[str, list[list[Shape]]] = {"train": [], "val": []}
        digits = load_digits()
        for label, digit in enumerate(classes):
            numbers = np.flatnonzero(digits.target == digit)
            cut = round(TRAIN_DIGITS * len(numbers))
            for half, part in (("train", numbers[:cut]), ("val", numbers[cut:])):
                shapes = [Shape((digits.images[i] / 16).astype(np.float32), label, int(i)) for i in part]
                self.shapes[half].append(shapes)
        self.photos: dict[str, list[tuple[str, int, NDArray[np.uint8]]]] = {"train": [], "val": []}
        photos = load_sample_images()
        for name, pixels in zip(photos.filenames, photos.images, strict=True):
            cut = round(TRAIN_WIDTH * pixels.shape[1])
            self.photos["train"].append((Path(name).name, 0, pixels[:, :cut]))
            self.photos["val"].append((Path(name).name, cut, pixels[:, cut:]))


def make_scene(sources: Sources, split: str, index: int, size: int, seed: int) -> Scene:
    """Return image ``index`` of ``split``: it depends on these arguments and the sources' classes only."""
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    half = "val" if split == "val" else "train"
    background, source = _background(rng, sources.photos[half], size)
    chosen = []
    for _ in range(rng.integers(1, MOST + 1)):
        candidates = sources.shapes[half][rng.integers(len(sources.shapes[half]))]
        chosen.append(candidates[rng.integers(len(candidates))])
    return compose(rng, background, chosen, SIDES, source)


def _background(
    rng: np.random.Generator, photos: list[tuple[str, int, NDArray[np.uint8]]], size: int
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Return a square crop scaled to ``size``, half the time mirrored, and where it lies in the photograph."""
    name, first, pixels = photos[rng.integers(len(photos))]
    side = int(rng.integers(CROP[0], CROP[1] + 1))
    y, x = (int(rng.integers(length - side + 1)) for length in pixels.shape[:2])
    crop = Image.fromarray(pixels[y : y + side, x : x + side]).resize((size, size), Image.Resampling.BICUBIC)
    mirrored = bool(rng.integers(2))
    if mirrored:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(crop), {"photo": name, "box": [first + x, y, side, side], "mirrored": mirrored}


def write(out: Path, settings: Settings) -> None:
    """Write the whole set to ``out``, which appears when it is complete.

    Raises:
        InputError: a setting cannot be used, or ``out`` is not a new or empty folder.
    """
    settings.check()
    with new_folder(out) as folder:
        sources = Sources(settings.classes)
        names = [NAMES[digit] for digit in settings.classes]
        info = {"description": "Handwritten digits on photographs (transfer.demo.digits)", "seed": settings.seed}
        for split, count in (("train", settings.train), ("val", settings.val)):
            writer = CocoVocWriter(folder, split, names, info)
            for i in range(count):
                writer.add(make_scene(sources, split, i, settings.size, settings.seed))
            writer.close()
            print(f"{split}: {count} labelled images", flush=True)
        (folder / "unlabeled").mkdir()
        for i in range(settings.unlabeled):
            scene = make_scene(sources, "unlabeled", i, settings.size, settings.seed)
            (folder / "unlabeled" / f"{i:06d}.jpg").write_bytes(jpeg(scene.image))
        print(f"unlabeled: {settings.unlabeled} images", flush=True)
        (folder / "README.txt").write_text(CREDITS.format(command=_command(settings)), encoding="utf-8")


def _command(settings: Settings) -> str:
    classes = " ".join(map(str, settings.classes))
    counts = f"--train {settings.train} --val {settings.val} --unlabeled {settings.unlabeled}"
    return f"--out DIR {counts} --size {settings.size} --classes {classes} --seed {settings.seed}"


def main(argv: list[str] | None = None) -> int:
    """Write the set; return 0 when done, 1 when the input was at fault."""
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m transfer.demo.digits", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder to write")
    for split in SPLITS:
        count = getattr(default, split)
        parser.add_argument(f"--{split}", type=int, default=count, metavar="N", help=f"images (default {count})")
    parser.add_argument("--size", type=int, default=default.size, metavar="S", help="image side, pixels (default 96)")
    parser.add_argument(
        "--classes", type=int, nargs="+", default=CLASSES, metavar="D", help="digits to use (default 0 2 4)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides every image (default 0)")
    args = parser.parse_args(argv)
    settings = Settings(args.size, tuple(args.classes), args.train, args.val, args.unlabeled, args.seed)

    def work() -> int:
        start = time.monotonic()
        places.check_folder(args.out)
        write(args.out, settings)
        print(f"{args.out}: done in {time.monotonic() - start:.1f} s (coco/, voc/, unlabeled/)")
        return 0

    return exit_code("transfer.demo.digits", work)


if __name__ == "__main__":
    sys.exit(main())
