"""Which images a report shows, what was found in them, and the caption that says how they were chosen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from transfer.compare import Group
from transfer.errors import InputError
from transfer.plots import Row, detections_png
from transfer.predictions import ValSet
from transfer.results import Record

MOST_COLUMNS = 5  # beside the ground truth; more would not be readable


@dataclass(frozen=True)
class Choice:
    """What is shown: number of images, least score drawn (0-1), and the seed that draws the images."""

    images: int = 6
    score: float = 0.5
    seed: int = 0


def gallery(groups: list[Group], choice: Choice) -> tuple[bytes | None, str]:
    """Draw val images with the ground truth beside each start's first run.

    Args:
        groups: their records' ``detections`` are paths that can be opened from here.
        choice: what to show.

    Returns:
        A PNG and its caption; or None and the reason why there is no picture (files that are not there any more).

    Raises:
        InputError: a file is there but is not what it should be.
    """
    shown = [run for group in groups if (run := _first_kept(group)) is not None][:MOST_COLUMNS]
    if not shown:
        return None, "No picture: no run kept its detections."
    split = shown[0].data.val
    annotations, folder = Path(split.annotations), Path(split.images)
    if not annotations.is_file() or not folder.is_dir():
        return None, f"No picture: expected the val set at `{annotations}` and `{folder}`, found nothing there."
    if hashlib.sha256(annotations.read_bytes()).hexdigest() != split.fingerprint:
        return None, f"No picture: `{annotations}` is not the file that the runs were measured on any more."
    val = ValSet(annotations)
    chosen = val.choose(choice.images, choice.seed)
    columns = [val.truth(chosen), *(val.detections(Path(r.detections or ""), chosen, choice.score) for r in shown)]
    rows = []
    for image_id in chosen:
        name = val.images[image_id]["file_name"]
        rows.append(Row(name, _pixels(folder / name), [column[image_id] for column in columns]))
    titles = ["ground truth", *(_title(run) for run in shown)]
    caption = (
        f"{len(chosen)} of {len(val.images)} val images, drawn by seed {choice.seed}, not by result.\n"
        f"Predictions with a score of at least {choice.score:.2f}."
    )
    return detections_png(rows, titles, list(val.classes.values()), caption), caption.replace("\n", " ")


def _first_kept(group: Group) -> Record | None:
    return next((run for run in group.runs if run.detections is not None), None)


def _title(run: Record) -> str:
    return run.init if run.seed is None else f"{run.init}, seed {run.seed}"


def _pixels(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))  # as Detectron2 reads it
    except FileNotFoundError:
        raise InputError(f"{file} is missing: expected a val image, found nothing; restore it") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: expected a val image, found {error}; restore it") from None
