"""Which images a report shows, what was found in them, and how they were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from transfer.comparison.bootstrap import ImageResamples
from transfer.comparison.compare import Group
from transfer.evaluation.confusion import Confusion, confusion
from transfer.evaluation.instance_errors import Detected, detected
from transfer.evaluation.instances import Instance, ValSet, read_pixels
from transfer.evaluation.weighted_ap import Floats, image_f1
from transfer.records.record import Record
from transfer.records.unchanged import why_changed

MOST_COLUMNS = 5  # beside the ground truth; more would not be readable
LEAST, MOST = 0.1, 20  # score of the detections that are in the page, 0-1, and how many of an image at the most


@dataclass(frozen=True)
class Choice:
    """What is shown: images of each kind, least score drawn (0-1), and the seed that draws the random ones."""

    images: int = 6
    score: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Shown:
    """One image: its file name, its pixels (H, W, 3), its objects, and what each run detected and how well.

    Attributes:
        truth: the annotated objects.
        runs: what each run detected, with a score from LEAST on.
        f1: of each run in 0-1, null where it was not computed.
        change: mean over the seeds of the leading start's F1 minus the baseline's; null where not computed.
    """

    name: str
    pixels: np.ndarray
    truth: list[Instance]
    runs: list[Detected]
    f1: list[float | None]
    change: float | None


@dataclass(frozen=True)
class Strip:
    """Images chosen in one way, and the sentence that says how."""

    title: str
    caption: str
    images: list[Shown]


@dataclass(frozen=True)
class Gallery:
    """Everything that is shown; or the reason why nothing is.

    Attributes:
        titles: of the runs.
        classes: decide the colours.
        strips: the most improved, the most worsened, and images drawn at random.
        why: "" when something is shown.
        pair: which two of the runs are compared; the same one twice where there is no other.
        confusions: title -> what is taken for what, of the compared pair.
    """

    titles: list[str]
    classes: list[str]
    strips: list[Strip]
    why: str = ""
    pair: tuple[int, int] = (0, 0)
    confusions: dict[str, Confusion] = field(default_factory=dict)


def gallery(
    groups: Sequence[Group],
    baseline: Group | None,
    leading: Group | None,
    choice: Choice,
    images: ImageResamples,
    task: str,
) -> Gallery:
    """Choose val images and read the ground truth and each start's first run there.

    Args:
        groups: of one label fraction; their records' ``detections`` are paths that can be opened from here.
        baseline: what changes are seen against.
        leading: the start whose changes choose the images; None shows random ones only.
        choice: how many, and what of them.
        images: the matches behind ``leading`` and ``baseline``.
        task: "bbox" or "segm": what decides whether a detection is right.

    Returns:
        The gallery; with a reason and no strip when files are not there any more.

    Raises:
        InputError: a file is there but is not what it should be.
    """
    runs = [run for group in groups if (run := _first_with_detections(group)) is not None][:MOST_COLUMNS]
    why = _why_not(runs)
    if why:
        return Gallery([], [], [], why)
    split = runs[0].data.val
    folder = Path(split.images)
    val = ValSet(Path(split.annotations), folder)
    titles = [title(run, groups) for run in runs]
    pair = _pair(runs, baseline, leading)
    chosen: list[tuple[str, str, list[int]]] = []
    ids = sorted(val.images)
    change = None
    if baseline is not None and leading is not None:
        change = _change(leading, baseline, choice.score, images)
    if change is not None and leading is not None and baseline is not None:
        chosen += _most(change, ids, choice.images, leading.init, baseline.init)
    drawn = val.choose(choice.images, choice.seed)
    chosen.append(("Drawn at random", f"{len(drawn)} of {len(ids)} val images, drawn by seed {choice.seed}.", drawn))
    wanted = {image for _, _, some in chosen for image in some}
    truth = val.truth(wanted)
    columns, confusions = [], {}
    for i, run in enumerate(runs):  # one file of detections in memory at a time
        every = val.read(Path(run.detections or ""))
        columns.append(detected(val, every, wanted, task, min(LEAST, choice.score), MOST))
        if i in pair:
            confusions[titles[i]] = confusion(val.objects(task), every, choice.score)
    f1 = [_f1(run, choice.score, images) for run in runs]
    place = {image: i for i, image in enumerate(ids)}

    def show(image: int) -> Shown:
        name = val.images[image]["file_name"]
        own = [None if one is None else float(one[place[image]]) for one in f1]
        by = None if change is None else float(change[place[image]])
        return Shown(name, read_pixels(folder / name), truth[image], [column[image] for column in columns], own, by)

    strips = [Strip(name, caption, [show(image) for image in some]) for name, caption, some in chosen if some]
    return Gallery(titles, list(val.classes.values()), strips, pair=pair, confusions=confusions)


def _pair(runs: Sequence[Record], baseline: Group | None, leading: Group | None) -> tuple[int, int]:
    """Return the places of the baseline's and of the leading start's run; of the first and last where one is none."""
    places = []
    for group, otherwise in ((baseline, 0), (leading, len(runs) - 1)):
        own = [] if group is None else [i for i, run in enumerate(runs) if any(run is one for one in group.runs)]
        places.append(own[0] if own else otherwise)
    return places[0], places[1]


def _why_not(runs: Sequence[Record]) -> str:
    """Return why there is nothing to show, "" when there is."""
    if not runs:
        return "No picture: no run kept its detections."
    split = runs[0].data.val
    if not split.images:
        return "No picture: the records of `transfer evaluate` alone do not say where the val images are."
    if why := why_changed(split):
        return f"No picture: {why}."
    if not Path(split.images).is_dir():
        return f"No picture: the val images are not at `{split.images}` any more."
    return ""


def _most(change: Floats, ids: Sequence[int], count: int, ours: str, baseline: str) -> list[tuple[str, str, list[int]]]:
    """Return the images that changed most in each direction; ties go by image id."""
    order = sorted(range(len(ids)), key=lambda i: (-change[i], ids[i]))
    better = [ids[i] for i in order if change[i] > 0][:count]
    worse = [ids[i] for i in reversed(order) if change[i] < 0][:count]
    counts = f"of {len(ids)} val images {int((change > 0).sum())} improved, {int((change < 0).sum())} worsened"
    caption = f"{ours} against {baseline}, by the change of F1, mean over all runs; {counts}."
    return [("Most improved", caption, better), ("Most worsened", caption, worse)]


def _change(ours: Group, baseline: Group, score: float, images: ImageResamples) -> Floats | None:
    sides = []
    for group in (ours, baseline):
        f1 = [_f1(run, score, images) for run in group.runs]
        if any(one is None for one in f1):
            return None
        sides.append(np.mean([one for one in f1 if one is not None], axis=0))
    change: Floats = sides[0] - sides[1]
    return change


def _f1(run: Record, score: float, images: ImageResamples) -> Floats | None:
    resampled = images.of(run)
    if resampled is None or not resampled.matches:
        return None
    return image_f1(resampled.matches.get("segm") or resampled.matches["bbox"], score)


def _first_with_detections(group: Group) -> Record | None:
    return next((run for run in group.runs if run.detections is not None), None)


def title(run: Record, groups: Sequence[Group]) -> str:
    """Return what a column is called: the start and the seed."""
    init = next((group.init for group in groups if any(one is run for one in group.runs)), run.init)
    return init if run.seed is None else f"{init}, seed {run.seed}"
