"""What a run detects in images of its val set, as pictures beside the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transfer.drawing.png_grid import GridRow, detections_png
from transfer.errors import InputError
from transfer.evaluation.instances import ValSet, read_pixels
from transfer.files import places
from transfer.files.atomic import check_new_folder, new_folder
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
    """Write one PNG an image: the ground truth beside the detections, with masks or boxes, classes and scores.

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
    truth = val.truth(chosen)
    detections = val.detections(Path(record.detections), chosen, score)
    start = record.init if record.seed is None else f"{record.init}, seed {record.seed}"
    names = []
    with new_folder(out) as temporary:
        for image in chosen:
            name = val.images[image]["file_name"]
            row = GridRow(name, read_pixels(folder / name), [truth[image], detections[image]])
            classes = list(val.classes.values())
            caption = f"{record.name}: detections with a score of at least {score:g}"
            png = detections_png([row], ["ground truth", start], classes, caption, cell=5.0)
            names.append(f"{Path(name).stem}.png" if Path(name).parent == Path() else f"{image}.png")
            (temporary / names[-1]).write_bytes(png)
    return [out / name for name in names]
