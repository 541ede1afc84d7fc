"""What an import found and did: as values, and as lines for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transfer.records.record import Counts

_MOST_CLASSES = 12


@dataclass(frozen=True)
class ImportedSet:
    """A set that was written.

    Attributes:
        format: what the source was read as, a key of ``transfer.importing.formats.READERS``.
        images: the folder of the images.
        annotations: split -> its COCO file; the one key of a set without splits is "annotations".
        counts: split -> what it holds.
        classes: class -> number of its objects, in the order of the category ids.
        empty: split -> images without an object.
        masks: objects with a mask, of all splits.
        left_out: a line for each kind of thing that was left out, with its count and the first example.
        put_right: the same for what was put right.
        notes: what else the reader of the set should know, images on both sides of the split above all.
    """

    format: str
    images: Path
    annotations: dict[str, Path]
    counts: dict[str, Counts]
    classes: dict[str, int]
    empty: dict[str, int]
    masks: int
    left_out: list[str]
    put_right: list[str]
    notes: list[str]


def table(data: ImportedSet, source: Path) -> str:
    """Return the counts of each split, the classes, what was left out or put right, and the files."""
    lines = [f"{source}: read as {data.format}", *_counts(data), _classes(data)]
    for head, entries in (("left out", data.left_out), ("put right", data.put_right), ("note", data.notes)):
        lines += [f"{head}: {entry}" for entry in entries]
    lines += [str(data.images), *map(str, data.annotations.values())]
    return "\n".join(lines)


def _counts(data: ImportedSet) -> list[str]:
    head = ("", "images", "without objects", "objects", "crowds", "classes")
    rows = [
        (name, str(c.images), str(data.empty[name]), str(c.objects), str(c.crowds), str(c.classes))
        for name, c in data.counts.items()
    ]
    return _aligned([head, *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _classes(data: ImportedSet) -> str:
    listed = [f"{name} {count}" for name, count in data.classes.items()]
    more = f" and {len(listed) - _MOST_CLASSES} more" if len(listed) > _MOST_CLASSES else ""
    masks = {0: "boxes only", sum(data.classes.values()): "all with masks"}.get(data.masks, f"{data.masks} with masks")
    return f"classes: {', '.join(listed[:_MOST_CLASSES])}{more}; {masks}"
