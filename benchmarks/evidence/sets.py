"""The set the experiment runs on: unlabelled images and a COCO set, with a split of train to choose on."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.outputs import Failed
from benchmarks.sets.fingerprints import fingerprint

HELD_OUT = 0.2  # share of the training images that hyper-parameters are chosen on


@dataclass(frozen=True)
class Split:
    """Images and their annotation file."""

    images: Path
    annotations: Path

    @property
    def arguments(self) -> list[str]:
        """What follows --train and --val."""
        return [str(self.images), str(self.annotations)]


@dataclass(frozen=True)
class Photographs:
    """A set in the layout of ``benchmarks.sets.photographs``: ``unlabeled`` and ``coco`` with two splits."""

    root: Path

    @property
    def unlabelled(self) -> Path:
        """What is pretrained on."""
        return self.root / "unlabeled"

    @property
    def train(self) -> Split:
        """What detectors are trained on."""
        return self._split("train2017")

    @property
    def val(self) -> Split:
        """What detectors are measured on, once."""
        return self._split("val2017")

    def _split(self, name: str) -> Split:
        coco = self.root / "coco"
        return Split(coco / name, coco / "annotations" / f"instances_{name}.json")

    def check(self) -> None:
        """Refuse a folder that lacks a part.

        Raises:
            Failed: with the part that is missing.
        """
        parts = [self.unlabelled, *(p for s in (self.train, self.val) for p in (s.images, s.annotations))]
        for part in parts:
            if not part.exists():
                raise Failed(f"--data: expected {part}, found nothing; make the set with benchmarks.sets.photographs")

    def facts(self) -> dict[str, Any]:
        """Counts, and a fingerprint of every file's name and content: the same set, the same 16 digits."""
        return {
            "unlabelled": sum(1 for p in self.unlabelled.iterdir()),
            "train": len(_read(self.train)["images"]),
            "val": len(_read(self.val)["images"]),
            "fingerprint": fingerprint(self.root, ("coco", "unlabeled"))[:16],
        }


def cut(split: Split, out: Path) -> tuple[Split, Split]:
    """Cut ``split`` in two by image, the same way each time: what is learned from, and what choices are made on."""
    made = [Split(split.images, out / f"{name}.json") for name in ("fit", "held_out")]
    if not all(part.annotations.exists() for part in made):
        content = _read(split)
        images = content["images"]
        held = {i["id"] for i in random.Random(0).sample(images, round(HELD_OUT * len(images)))}
        for part, inside in zip(made, (False, True), strict=True):
            kept = {
                **content,
                "images": [i for i in images if (i["id"] in held) is inside],
                "annotations": [a for a in content["annotations"] if (a["image_id"] in held) is inside],
            }
            out.mkdir(parents=True, exist_ok=True)
            part.annotations.write_text(json.dumps(kept), encoding="utf-8")
    return made[0], made[1]


def _read(split: Split) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(split.annotations.read_text(encoding="utf-8"))
    return content
