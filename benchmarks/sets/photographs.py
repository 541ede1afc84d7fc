"""A labelled detection and segmentation set: cut-out objects on pictures, with exact masks.

python -m benchmarks.sets.photographs --cutouts DIR --out DIR [--train 1000] [--val 300] [--unlabeled 6000] [--size 160]
                                 [--max-objects 4] [--seed 0] [--voc] [--workers 2]

--cutouts is a folder that `benchmarks.sets.cutouts` made. Train and val share no file of it; the unlabelled pictures
come from train's. Picture i of a split depends on the seed, the split, i, the size, the number of objects and the
cut-outs, and on nothing else. Written below --out, which appears when all of it is there:

    coco/{train,val}2017/*.jpg, coco/annotations/instances_{train,val}2017.json    outlines of what is seen
    VOC2007/{JPEGImages,Annotations,ImageSets/Main}                                with --voc: boxes of the same
    unlabeled/*.jpg
    data.json                                                                      arguments, counts, fingerprint
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
from PIL import Image

from benchmarks import outputs
from benchmarks.processes import processes
from benchmarks.sets.annotations import VisiblePart, coco, visible_part, voc
from benchmarks.sets.collage import Sources, compose, sources
from benchmarks.sets.fingerprints import fingerprint
from transfer.errors import InputError
from transfer.files.atomic import check_new_folder, new_folder
from transfer.progress import progress

QUALITY = 92  # of the JPEGs
SIZES = (32, 640)  # the photographs have up to 640 pixels
PARTS = ("backgrounds", "cutouts")  # of the folder of cut-outs


@dataclass(frozen=True)
class Settings:
    """What the set holds: pictures per split, side in pixels, most objects in a picture, seed, VOC files too."""

    train: int = 1000
    val: int = 300
    unlabeled: int = 6000
    size: int = 160
    max_objects: int = 4
    seed: int = 0
    voc: bool = False

    def check(self) -> None:
        """Raise InputError when a setting cannot be used."""
        if min(self.train, self.val) < 1 or self.unlabeled < 0:
            counts = f"{self.train}, {self.val} and {self.unlabeled}"
            raise InputError(f"--train, --val, --unlabeled: expected at least 1, 1 and 0, found {counts}; change them")
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise InputError(f"--size: expected {SIZES[0]}-{SIZES[1]} pixels, found {self.size}; choose one of these")
        if self.max_objects < 1:
            raise InputError(f"--max-objects: expected 1 or more, found {self.max_objects}; change it")
        if self.voc and max(self.train, self.val) > 100_000:  # five digits of the number are in the name
            counts = f"{max(self.train, self.val)}"
            raise InputError(f"--voc: expected at most 100000 pictures in a split, found {counts}; leave --voc out")

    def key(self, split: str, index: int) -> str:
        """What decides everything random in a picture."""
        return f"{self.seed}-unlabeled/train/{index}" if split == "unlabeled" else f"{self.seed}/{split}/{index}"


def check_apart(root: Path) -> None:
    """Raise InputError when train and val below ``root`` share an object or a photograph, by name or by content."""
    for part in PARTS:
        known: dict[str | bytes, Path] = {}
        for path in sorted((root / part / "train").rglob("*.*")):
            known[path.name] = known[path.read_bytes()] = path
        for path in sorted((root / part / "val").rglob("*.*")):
            if twin := known.get(path.name) or known.get(path.read_bytes()):
                raise InputError(f"{path}: expected a file that train lacks, found it as {twin}; remove one of them")


@dataclass(frozen=True)
class Picture:
    """An encoded image and what is seen in it."""

    jpeg: bytes
    objects: list[VisiblePart]


def picture(key: str, sources: Sources, size: int, max_objects: int) -> Picture:
    """Compose one picture and encode it; an object too small for an outline is left out of its labels."""
    collage = compose(key, sources, size, max_objects)
    encoded = io.BytesIO()
    Image.fromarray(collage.image).save(encoded, "JPEG", quality=QUALITY)
    objects = map(visible_part, collage.categories, collage.masks)
    return Picture(encoded.getvalue(), [one for one in objects if one])


def pictures(mapped: Callable[..., Any], settings: Settings, split: str, sources: Sources) -> Iterator[Picture]:
    """The pictures of one split, in order, composed by ``mapped`` (see `processes`)."""
    keys = [settings.key(split, index) for index in range(getattr(settings, split))]
    work = functools.partial(picture, sources=sources, size=settings.size, max_objects=settings.max_objects)
    with progress(split, len(keys), "pictures") as line:
        for one in mapped(work, keys):
            line.update(1)
            yield one


def write(out: Path, root: Path, settings: Settings, workers: int = 1) -> dict[str, Any]:
    """Write the set to ``out`` and return what data.json says.

    Raises:
        InputError: ``out`` is not new or empty, or settings or cut-outs cannot be used.
    """
    settings.check()
    check_new_folder(out)
    files = {split: sources(root, split) for split in ("train", "val")}
    categories = list(files["train"].cutouts)
    if unknown := sorted(set(files["val"].cutouts) - set(categories)):
        raise InputError(f"{root}: expected train to have val's categories, found no {', '.join(unknown)}; add some")
    check_apart(root)
    counts = {}
    with new_folder(out) as folder, processes(workers) as mapped:
        for split in ("train", "val"):
            made = pictures(mapped, settings, split, files[split])
            counts[split] = write_labelled(folder, split, made, categories, settings)
        if settings.unlabeled:
            made = pictures(mapped, settings, "unlabeled", files["train"])
            counts["unlabeled"] = write_unlabelled(folder / "unlabeled", made)
        versions = {"numpy": np.__version__, "pillow": PIL.__version__, "opencv": cv2.__version__}
        summary = {
            "made_by": "benchmarks.sets.photographs",
            "arguments": asdict(settings),
            "counts": counts,
            "cutouts": fingerprint(root, PARTS),
            "fingerprint": fingerprint(folder),
            "versions": versions,
        }
        (folder / "data.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def write_labelled(
    folder: Path, split: str, made: Iterable[Picture], categories: Sequence[str], settings: Settings
) -> dict[str, int]:
    """Write train or val as COCO and, when asked, as VOC; how many images and objects it has."""
    base, labels = folder / "coco" / f"{split}2017", []
    for index, one in enumerate(made):
        name = f"{index:012d}.jpg"
        _put(base / name, one.jpeg)
        labels.append((name, one.objects))
        if settings.voc:
            stem = _voc_stem(split, index)
            _put(folder / "VOC2007/JPEGImages" / f"{stem}.jpg", one.jpeg)
            _put(folder / f"VOC2007/Annotations/{stem}.xml", voc(f"{stem}.jpg", settings.size, one.objects).encode())
    content = json.dumps(coco(labels, categories, settings.size, settings.seed))
    _put(folder / f"coco/annotations/instances_{split}2017.json", content.encode())
    if settings.voc:
        stems = "".join(f"{_voc_stem(split, index)}\n" for index in range(len(labels)))
        _put(folder / "VOC2007/ImageSets/Main" / {"train": "trainval.txt", "val": "test.txt"}[split], stems.encode())
    return {"images": len(labels), "objects": sum(len(objects) for _, objects in labels)}


def write_unlabelled(folder: Path, made: Iterable[Picture]) -> dict[str, int]:
    """Write the images alone; how many there are."""
    count = 0
    for count, one in enumerate(made, 1):
        _put(folder / f"{count - 1:08d}.jpg", one.jpeg)
    return {"images": count}


def _voc_stem(split: str, index: int) -> str:
    return f"{int(split == 'val')}{index:05d}"


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sets.photographs", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--cutouts", type=Path, required=True, metavar="DIR", help="what benchmarks.sets.cutouts made")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder to write")
    for split in ("train", "val", "unlabeled"):
        count = getattr(default, split)
        parser.add_argument(f"--{split}", type=int, default=count, metavar="N", help=f"pictures (default: {count})")
    parser.add_argument("--size", type=int, default=default.size, help="side of a picture, pixels (default: 160)")
    parser.add_argument("--max-objects", type=int, default=default.max_objects, help="in a picture (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="decides every picture (default: 0)")
    parser.add_argument("--voc", action="store_true", help="write train and val in VOC's layout too")
    parser.add_argument("--workers", type=int, default=2, help="processes; they change no byte (default: 2)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the set; 0 when done, 1 when the input was at fault, 130 when interrupted."""
    args = _parser().parse_args(argv)
    return outputs.status("benchmarks.sets.photographs", lambda: _make(args), "nothing was written")


def _make(args: argparse.Namespace) -> None:
    settings = Settings(**{name: getattr(args, name) for name in asdict(Settings())})
    began = time.monotonic()
    summary = write(args.out, args.cutouts, settings, args.workers)
    counts = ", ".join(
        f"{name} {' '.join(f'{n} {of}' for of, n in c.items())}" for name, c in summary["counts"].items()
    )
    print(f"{args.out}: {counts}; fingerprint {summary['fingerprint'][:16]}; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
