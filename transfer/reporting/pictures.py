"""What a run detects in images of its val set, as pictures beside the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transfer.drawing import layout, photograph
from transfer.drawing.photograph import Half
from transfer.drawing.selection import Selection, choose
from transfer.errors import InputError
from transfer.evaluation.instances import ValSet, read_pixels
from transfer.files import places
from transfer.files.atomic import check_new_folder, new_folder, write_bytes
from transfer.records.record_file import read_run
from transfer.records.unchanged import why_changed


def show(
    run: str | Path,
    out: str | Path,
    *,
    images: Sequence[str] | None = None,
    random: int | None = None,
    seed: int = 0,
    score: float = 0.5,
) -> list[Path]:
    """Write one picture an image: the ground truth beside the detections, with masks or boxes, classes and scores.

    Each half is the image at its own size, in the file's own format; where no detection reaches ``score`` the best few
    are drawn dimmed. What is drawn, and how much lies below, stands in the titles.

    Args:
        run: a finished run's folder, with a record that kept its detections.
        out: new or empty folder for the pictures.
        images: file names of val images; give these, or ``random``.
        random: this many val images, drawn by ``seed`` alone.
        seed: draws the random images, 0 or more.
        score: least score drawn, 0-1.

    Returns:
        the pictures, in the order of the images.

    Raises:
        InputError: the run kept no detections, its val set is not there any more, no such image, or ``out`` is taken.
    """
    if not 0 <= score <= 1 or seed < 0 or (random is not None and random < 1):
        given = f"{random}, {seed}, {score}"
        raise InputError(f"--random, --seed, --score: expected 1 or more, 0 or more, 0-1, found {given}; change it")
    if (images is None) == (random is None):
        raise InputError("expected either images or a number of random ones, found both or neither; give one")
    run, out = Path(run), Path(out)
    check_new_folder(out)
    places.check_folder(out)
    record = read_run(run)
    if record.detections is None:
        raise InputError(f"{run}: expected a run that kept its detections, found none; evaluate it again")
    if not record.data.val.images:
        raise InputError(f"{run}: expected a record that says where its val images are, found none; show a run")
    annotations, folder = Path(record.data.val.annotations), Path(record.data.val.images)
    if why := why_changed(record.data.val):
        raise InputError(f"{run}: expected the ground truth it was measured on, found that {why}; restore it")
    val = ValSet(annotations, folder)
    chosen = val.choose(random, seed) if random is not None else val.named(images or ())
    detected = val.read(Path(record.detections))
    start = record.init if record.seed is None else f"{record.init}, seed {record.seed}"
    colours = layout.colours(list(val.classes.values()))
    files = [val.images[image]["file_name"] for image in chosen]
    names = photograph.names(files)
    with new_folder(out) as temporary:
        for image, file, name in zip(chosen, files, names, strict=True):
            truth = val.truth([image])[image]
            choice = choose(val.detections(detected, [image], 0.0)[image], score)
            halves = [
                Half(f"ground truth: {objects(len(truth))}", Selection(truth)),
                Half(f"{start}: {in_words(choice, score)}", choice),
            ]
            pixels = photograph.side_by_side(read_pixels(folder / file), halves, colours)
            encoded = photograph.encode(pixels, name.suffix, photograph.colour_profile(folder / file))
            write_bytes(temporary / name, encoded)
    return [out / name for name in names]


def objects(count: int) -> str:
    """Return a number of objects in words."""
    return f"{count} object" if count == 1 else f"{count} objects"


def in_words(choice: Selection, limit: float) -> str:
    """Return what of an image's detections is drawn, and what is not."""
    if choice.dimmed:
        return f"nothing reaches {limit:g}; dimmed, the best {len(choice.drawn)} of {choice.below}"
    if not choice.drawn:
        return "nothing detected"
    below = f", {choice.below} below" if choice.below else ""
    return f"{len(choice.drawn)} of at least {limit:g}{below}"
