"""The first images of every class of a labelled set, as links into it: small sets that are the same everywhere."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.outputs import Failed
from pretrain.data.sources import find_images


def link_subset(source: Path, out: Path, train: int, val: int, held_out: bool = False) -> Path:
    """Make ``out/train/CLASS`` and ``out/val/CLASS`` of links to images of ``source``, by name's order.

    Args:
        source: folder with train/CLASS and test/CLASS.
        out: made where it is missing; complete when it returns.
        train, val: images of each split, equally many of every class.
        held_out: take ``val`` from the training images behind those taken for ``train``, so that test stays unread.

    Raises:
        Failed: a class has too few images.
    """
    done = out / "complete"
    if done.is_file():
        return out
    classes = sorted(p.name for p in (source / "train").iterdir() if p.is_dir())
    for split, total in (("train", train), ("val", val)):
        for name in classes:
            folder = source / ("train" if split == "train" or held_out else "test") / name
            images, each = find_images(folder), total // len(classes)
            first = train // len(classes) if split == "val" and held_out else 0
            if len(images) < first + each:
                raise Failed(f"{folder}: expected at least {first + each} images, found {len(images)}; ask for fewer")
            target = out / split / name
            target.mkdir(parents=True, exist_ok=True)
            for image in images[first : first + each]:
                link = target / image.name
                if not link.exists():
                    os.symlink(image.resolve(), link)
    done.write_text(f"{train} {val}\n", encoding="utf-8")
    return out
