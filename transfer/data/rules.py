"""What is checked of a data set: the table that the checks, their messages and docs/checks.md are made from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from transfer.errors import InputError

# A few of these are in COCO's own files, and Detectron2 copes with them; above this share of the annotations the file
# itself is wrong.
TOLERATED = 0.01

REFUSED = "refused"
COUNTED = "counted, refused above 1 %"
CHANGED = "put right and counted"
COUNTED_ONLY = "counted"


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong.

    Attributes:
        what: is counted, a plural.
        fix: what to do about it; for what is put right, what has been done.
        level: REFUSED, COUNTED, CHANGED or COUNTED_ONLY.
        done: whether ``fix`` of what is COUNTED says what becomes of a few, not what to do.
    """

    what: str
    fix: str
    level: str = REFUSED
    done: bool = False

    @property
    def advice(self) -> str:
        """What to do about more than a few."""
        return f"correct them; up to 1 % of the objects are {self.fix}" if self.done else self.fix


RULES = {
    # the entries
    "no object": Rule("entries that are no objects", "write each image, annotation and category as an object"),
    "id": Rule(
        "ids that are neither whole numbers nor texts of one line",
        "number them (a float is taken when it is whole and below 2^53)",
    ),
    "mixed ids": Rule("lists with both numbers and texts as ids", "use one kind"),
    "duplicate image": Rule("duplicate ids in images", "number the images"),
    "duplicate annotation": Rule("duplicate ids in annotations", "number the annotations"),
    "duplicate category": Rule("duplicate ids in categories", "number the categories"),
    "duplicate name": Rule("duplicate category names", "give each category a name of its own"),
    "name": Rule("categories without a name of one line", "name them"),
    "file_name": Rule("images without a file_name of one line", "name their files"),
    "size": Rule(
        "images whose width and height are no whole numbers from 1 on, or more than 2^30 pixels", "write the file's own"
    ),
    "frequency": Rule("LVIS categories whose frequency is not r, c or f", "correct them"),
    "lvis ids": Rule("LVIS images whose lists of categories are none", "correct them"),
    "lvis unknown": Rule("unknown categories in the lists of LVIS images", "left out", CHANGED),
    "unknown image": Rule("annotations of unknown images", "remove them or list the images"),
    "unknown category": Rule("annotations of unknown categories", "remove them or list the categories"),
    "bbox": Rule("boxes that are not [x, y, width, height], four finite numbers", "correct them"),
    "area": Rule('annotations without "area" in pixels', "add it: it says small, medium or large"),
    "iscrowd": Rule('annotations whose "iscrowd" is neither 0 nor 1', "correct them"),
    "ignore": Rule('annotations with "ignore"', 'use "iscrowd"'),
    "placeholder": Rule(
        "categories without an annotation that only name the supercategory of the others",
        "left out: labelling tools add them",
        CHANGED,
    ),
    # the boxes
    "empty box": Rule("boxes without area", "left out in training", COUNTED, done=True),
    "fractions": Rule("boxes in fractions of the image", "multiply them by its width and height", COUNTED),
    "corners": Rule("boxes that are corners [x1, y1, x2, y2]", "write [x, y, width, height]", COUNTED),
    "box outside": Rule("boxes outside their image", "clipped in training", COUNTED, done=True),
    "whole area": Rule('objects whose "area" is that of the whole image', "write the object's", COUNTED),
    "area contradicts": Rule('objects whose "area" contradicts their box and mask', "write the object's", COUNTED),
    # the masks, where they are trained on or measured
    "no mask": Rule("objects without a mask", "train a box detector (MODEL.MASK_ON False), measure --tasks bbox"),
    "mask kind": Rule(
        "masks that are neither polygons nor run-length codes",
        "write [[x1, y1, x2, y2, ...], ...] or {size, counts}",
    ),
    "mask pairs": Rule("polygons of pairs", "write [[x1, y1, x2, y2, ...]], not [[[x1, y1], ...]]"),
    "mask flat": Rule("polygons in one flat list", "write [[x1, y1, ...]], a list of polygons"),
    "mask text": Rule("masks with texts for numbers", "write numbers"),
    "mask numbers": Rule("polygons with numbers that are not finite", "correct them"),
    "mask reach": Rule("polygons further from their image than its own size", "correct them"),
    "code size": Rule("run-length codes of another size than their image", "write [height, width] of the image"),
    "code runs": Rule("run-length codes that do not fill their image", "correct them"),
    "short polygon": Rule("polygons of fewer than three points", "left out", CHANGED),
    "empty mask": Rule("empty masks", "left out in training, never found in measuring", COUNTED, done=True),
    "mask outside": Rule("masks that reach outside their image", "clipped", COUNTED, done=True),
    "mask off box": Rule("masks outside their own box", "correct the boxes or the masks", COUNTED),
    "upside down": Rule("masks upside down to their box", "count y from the top in both", COUNTED),
    # the files
    "missing file": Rule("missing images", "restore them or correct the folder"),
    "unreadable": Rule("unreadable images", "restore or convert them"),
    "other size": Rule("images of another size than the file says", "correct width and height"),
    "stored size": Rule(
        "images whose annotations are of the file before EXIF turns it",
        "annotations are of the upright image: remove the orientation tag",
    ),
    "same file": Rule("images that name a file which another image names", "list each once", COUNTED_ONLY),
}


class Problems:
    """What is wrong, by rule, each with its count and its first example."""

    def __init__(self) -> None:
        """Start with none."""
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, rule: str, example: object, count: int = 1) -> None:
        """Count ``count`` problems of ``rule``, the first of which is ``example``."""
        self.counts[rule] += count
        self.examples.setdefault(rule, str(example))

    def of(self, *levels: str) -> list[str]:
        """Return the rules of these levels that were broken."""
        return [rule for rule in self.counts if RULES[rule].level in levels]

    def lines(self, *levels: str) -> list[str]:
        """Return ``count what (first: example): fix`` for each broken rule of these levels (of all when none)."""
        return [
            f"{count} {RULES[rule].what} (first: {self.examples[rule]}): {RULES[rule].fix}"
            for rule, count in self.counts.items()
            if not levels or RULES[rule].level in levels
        ]

    def refuse(self, file: Path, n_images: int, n_objects: int) -> None:
        """Raise InputError, one line with all counts, for what is refused; COUNTED counts above 1 % of the objects.

        Args:
            file: is named in the error.
            n_images: images in it.
            n_objects: annotations in it.
        """
        refused = self.of(REFUSED)
        if sum(self.counts[rule] for rule in self.of(COUNTED)) > TOLERATED * n_objects:
            refused += self.of(COUNTED)
        if refused:
            lines = [
                f"{self.counts[r]} {RULES[r].what} (first: {self.examples[r]}): {RULES[r].advice}" for r in refused
            ]
            raise InputError(
                f"{file}: expected a usable data set ({n_images} images, {n_objects} objects), found {'; '.join(lines)}"
            )
