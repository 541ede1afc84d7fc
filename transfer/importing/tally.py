"""What an import leaves out and puts right, counted: the table that its messages and docs/data.md are made from."""

from __future__ import annotations

from collections import Counter

LEFT_OUT = "left out"
PUT_RIGHT = "put right"
NOTED = "noted"

# rule -> (level, what is counted, a plural, and why or what was done)
RULES = {
    # shapes and parts
    "no area": (LEFT_OUT, "points, lines and other shapes without an area"),
    "unknown shape": (LEFT_OUT, "shapes of an unknown kind"),
    "ignored": (LEFT_OUT, "shapes that labelme's __ignore__ or _background_ marks"),
    "short": (LEFT_OUT, "parts of fewer than three points"),
    "flat": (LEFT_OUT, "parts whose points enclose nothing"),
    "outside": (LEFT_OUT, "parts, masks or boxes outside their image"),
    "empty box": (LEFT_OUT, "boxes without area"),
    "empty mask": (LEFT_OUT, "masks without a pixel"),
    "duplicate": (LEFT_OUT, "objects that are on their image twice, exactly"),
    "keypoints": (LEFT_OUT, "objects' keypoints"),
    # images and files
    "unlabelled": (LEFT_OUT, "images without a label file, of which nothing says that they show no object"),
    "missing": (LEFT_OUT, "labelled images that are missing"),
    "in no list": (LEFT_OUT, "images that none of the source's splits names"),
    "no mask file": (LEFT_OUT, "images without a file of masks (boxes only: --boxes)"),
    "other file": (LEFT_OUT, "files that are no labels"),
    "masks": (LEFT_OUT, "masks, as --boxes asks"),
    "placeholder": (LEFT_OUT, "classes without an object that only name the supercategory of the others"),
    # put right
    "clipped": (PUT_RIGHT, "objects that reached over the border: clipped to the image"),
    "box from mask": (PUT_RIGHT, "objects without a box: taken from the mask"),
    "area": (PUT_RIGHT, 'objects without "area", or with that of their box: taken from the mask or box'),
    "iscrowd": (PUT_RIGHT, 'objects without "iscrowd": 0'),
    "flat list": (PUT_RIGHT, "polygons in one flat list: a list of one polygon"),
    "pairs": (PUT_RIGHT, "polygons of pairs: one list of numbers"),
    "size": (PUT_RIGHT, "images whose labels give no size: the file's own"),
    "crowds": (PUT_RIGHT, "crowds, taken as objects as --crowds objects asks"),
    "pooled": (PUT_RIGHT, "images whose own split was set aside for --split"),
    "depth": (PUT_RIGHT, "16-bit images, written with 8 bits as --depth asks"),
    # noted
    "rectangles": (NOTED, "rectangles among other shapes: taken as masks of four corners"),
    "embedded": (NOTED, "images taken out of the label files' imageData"),
    "no object": (NOTED, "images without an object"),
    "sixteen bits": (NOTED, "16-bit images: their high byte is what is trained on"),
}


class Tally:
    """How often each rule held, and where first."""

    def __init__(self) -> None:
        """Start with none."""
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, rule: str, example: object, count: int = 1) -> None:
        """Count ``count`` more of ``rule``, the first of which is ``example``."""
        assert rule in RULES, rule
        self.counts[rule] += count
        self.examples.setdefault(rule, str(example))

    def lines(self, level: str) -> list[str]:
        """Return ``count what (first: example)`` for each rule of a level that held, in the table's order."""
        return [
            f"{self.counts[rule]} {what} (first: {self.examples[rule]})"
            for rule, (own, what) in RULES.items()
            if own == level and self.counts[rule]
        ]
