"""One call from a folder of any known tool to a clean COCO set."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from transfer.data import coco
from transfer.data.ids import is_one_line
from transfer.errors import InputError
from transfer.files import places
from transfer.files.atomic import check_new_folder, new_folder
from transfer.importing import copies, formats, splitting
from transfer.importing.coco_folder import IMAGES, Content, check_contents, content_of, write
from transfer.importing.imported_set import ImportedSet
from transfer.importing.objects import Choices, LabelledSet
from transfer.importing.parts import leak_lines, parts_of
from transfer.importing.tally import LEFT_OUT, NOTED, PUT_RIGHT, Tally

AREAS = ("apart", "joined")
CROWDS = ("keep", "objects")


def import_data(
    source: str | Path,
    out: str | Path,
    *,
    format: str | None = None,
    split: str | None = None,
    group_by: str | None = None,
    seed: int = 0,
    images: str = "copy",
    boxes: bool = False,
    category: str = "object",
    areas: str | None = None,
    crowds: str | None = None,
    skip_missing: bool = False,
    depth: int | None = None,
) -> ImportedSet:
    """Write a folder of labelme, YOLO, COCO, Pascal VOC or mask files as a clean COCO set.

    ``out`` gets ``images/`` and a COCO file for each split: ids from 1 on, ``area`` and ``iscrowd`` filled in, shapes
    clipped to their images, what is no object left out and counted. Image sizes are those of the upright files.

    Args:
        source: the folder as the tool left it.
        out: new or empty folder, which appears whole or not at all.
        format: "labelme", "yolo", "coco", "voc" or "masks"; None to see it from the files.
        split: shares of train and val, or train, val and test, in percent ("80/20"); None to keep the source's splits.
        group_by: images that stay on one side of ``split``: those of a "folder", of one "prefix:REGEX" of their file
            names, or of one "likeness"; None for image by image. Files with the same bytes always stay together.
        seed: decides which images go where, 0 or more.
        images: "copy"; "hardlink", without space of their own; or "symlink", which end with the source.
        boxes: leave masks out.
        category: the class of a folder of masks, which names none.
        areas: masks of one value in areas apart: "apart" takes each as an object, "joined" all of an image as one.
        crowds: where most objects are crowds: "objects" takes them as objects, "keep" as crowds.
        skip_missing: leave out labelled images that are missing, which are refused otherwise.
        depth: how many of the bits of 16-bit images are in use, 9 to 15: they are written with 8.

    Returns:
        where everything lies, and what was found and done.

    Raises:
        InputError: the source is of no known format or of several, a file of it cannot be used, or ``out`` is taken.

    Examples:
        Two images and a box in YOLO's format:

        >>> import transfer
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> from PIL import Image
        >>> folder = Path(mkdtemp())
        >>> for name in ("images", "labels"):
        ...     (folder / "yolo" / name).mkdir(parents=True)
        >>> for name, colour in (("a.png", "red"), ("b.png", "blue")):
        ...     Image.new("RGB", (80, 40), colour).save(folder / "yolo/images" / name)
        >>> _ = (folder / "yolo/data.yaml").write_text("names: [cat]")
        >>> _ = (folder / "yolo/labels/a.txt").write_text("0 0.5 0.5 0.5 0.25")
        >>> data = transfer.import_data(folder / "yolo", folder / "coco")
        >>> data.format, data.counts["annotations"].images, data.classes
        ('yolo', 2, {'cat': 1})
        >>> sorted(path.name for path in (folder / "coco").iterdir())
        ['annotations.json', 'images']
    """
    source, out = Path(source), Path(out)
    _check(format, images, category, areas, crowds, depth, seed)
    request = None if split is None else splitting.parse(split, group_by, seed)
    if group_by is not None and request is None:
        raise InputError(f"--group-by {group_by}: expected --split, found none; add it, such as --split 80/20")
    check_new_folder(out)
    places.check_folder(out)
    tally = Tally()
    choices = Choices(not boxes, category, areas, crowds, skip_missing)
    own = format or formats.recognise(source)
    if not source.is_dir():
        formats.recognise(source)
    data = _with_crowds(formats.READERS[own](source, choices, tally), choices, source, tally)
    parts, notes = parts_of(data, request, tally)
    contents = {name: content_of(members, data.categories, tally, masks=not boxes) for name, members in parts.items()}
    check_contents(source, contents, tally)
    notes += leak_lines(parts)
    with new_folder(out) as folder:
        bits = write(folder, parts, contents, images, depth, tally)
    if bits and depth is None and bits < 16:
        notes.append(
            f"the 16-bit images use {bits} bits only: read at full range they are {2 ** (16 - bits)} times too dark; "
            + (f"start again with --depth {bits}" if bits in copies.DEPTHS else "convert them to 8 bits")
        )
    return _summary(own, out, contents, tally, notes)


def _check(
    format: str | None,
    images: str,
    category: str,
    areas: str | None,
    crowds: str | None,
    depth: int | None,
    seed: int,
) -> None:
    for flag, value, known in (
        ("--format", format, (None, *formats.READERS)),
        ("--images", images, copies.WAYS),
        ("--areas", areas, (None, *AREAS)),
        ("--crowds", crowds, (None, *CROWDS)),
        ("--depth", depth, (None, *copies.DEPTHS)),
    ):
        if value not in known:
            listed = ", ".join(str(one) for one in known if one is not None)
            raise InputError(f"{flag}: expected one of {listed}, found {value}; choose one of these")
    if not is_one_line(category):
        raise InputError(f"--class: expected a name of one line, found {category!r}; choose one")
    if seed < 0:
        raise InputError(f"--seed: expected 0 or more, found {seed}; change it")


def _with_crowds(data: LabelledSet, choices: Choices, source: Path, tally: Tally) -> LabelledSet:
    """Refuse a set that is mostly crowds: CVAT exports every mask that was painted with its brush as one."""
    drawn = [one for image in data.images for one in image.objects]
    crowds = [one for one in drawn if one.crowd]
    if choices.crowds == "objects" and crowds:
        tally.add("crowds", crowds[0].where, len(crowds))
        for image in data.images:
            image.objects[:] = [replace(one, crowd=False) for one in image.objects]
    elif choices.crowds is None and 2 * len(crowds) > len(drawn):
        raise InputError(
            f"{source}: expected mostly objects, found {len(crowds)} of {len(drawn)} with iscrowd 1, from which "
            "nothing is learned; CVAT marks what its brush paints so: --crowds objects takes them as objects, "
            "--crowds keep as they are"
        )
    return data


def _summary(own: str, out: Path, contents: dict[str, Content], tally: Tally, notes: list[str]) -> ImportedSet:
    annotations = [a for content in contents.values() for a in content["annotations"]]
    categories = next(iter(contents.values()))["categories"]
    numbers = Counter(a["category_id"] for a in annotations)
    masks = sum("segmentation" in a for a in annotations)
    if 0 < masks < len(annotations):
        notes = [
            *notes,
            f"{len(annotations) - masks} of {len(annotations)} objects have no mask: draw it, or train a box detector "
            "(--boxes leaves all masks out)",
        ]
    return ImportedSet(
        format=own,
        images=out / IMAGES,
        annotations={name: out / f"{name}.json" for name in contents},
        counts={name: coco.count(content, None) for name, content in contents.items()},
        classes={c["name"]: numbers[c["id"]] for c in categories},
        empty={
            name: len(content["images"]) - len({a["image_id"] for a in content["annotations"]})
            for name, content in contents.items()
        },
        masks=masks,
        left_out=tally.lines(LEFT_OUT),
        put_right=tally.lines(PUT_RIGHT),
        notes=[*notes, *tally.lines(NOTED)],
    )
