"""Finished runs in, the page people decide from out."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transfer.comparison.bootstrap import resample
from transfer.comparison.comparable import check_comparable
from transfer.drawing.selection import Selection, choose
from transfer.errors import InputError
from transfer.files import places
from transfer.records.record import RESAMPLES, Record
from transfer.records.record_file import read_run
from transfer.records.stages import Stage, read_stages
from transfer.reporting import csv_latex, curves
from transfer.reporting import published as published_results
from transfer.reporting.extra_tables import Studied, extra_tables
from transfer.reporting.figures import kept_curves
from transfer.reporting.gallery import Choice, Gallery, gallery
from transfer.reporting.markdown import Picture, to_markdown
from transfer.reporting.page import Extras, page
from transfer.reporting.report_folder import (
    BESIDE,
    CSV,
    LATEX,
    PAGE,
    PICTURE,
    RESULTS,
    TEXT,
    check_out,
    records_text,
    write,
)
from transfer.reporting.summary import Summary, summarise
from transfer.reporting.wording import answer


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        paths: its files, the page first.
        summary: what it says.
        note: why it has no picture; empty when it has one.
    """

    paths: list[Path]
    summary: Summary
    note: str = ""


def compare(
    records: Sequence[Record | str | Path],
    baseline: str | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    searched: bool = False,
) -> Summary:
    """Compare finished runs: means over seeds, differences to a baseline, intervals and verdicts.

    Args:
        records: runs of one protocol on one val set (``read_record``), or their folders.
        baseline: the start to compare with, a record's ``init``; None for "random" where there is such a run.
        resamples: val sets drawn with replacement for the intervals, 100 or more.
        seed: draws them, 0 or more.
        searched: the runs' learning rates may differ, for the same search has found one for each start.

    Returns:
        the groups of runs and the verdict on each, AP in percent. ``answer`` (transfer/reporting/wording.py) puts it
        into a sentence.

    Raises:
        InputError: a record cannot be read, two runs cannot be compared, or no run starts from ``baseline``.

    Examples:
        Two detectors without training, one of which finds the object:

        >>> import transfer
        >>> box = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 30]}
        >>> truth = {
        ...     "images": [{"id": 1, "width": 100, "height": 80}],
        ...     "categories": [{"id": 1, "name": "cat"}],
        ...     "annotations": [{"id": 1, "area": 1200, "iscrowd": 0, **box}],
        ... }
        >>> miss = {**box, "bbox": [60, 40, 30, 30]}
        >>> hit = transfer.evaluate(truth, [{"score": 0.9, **box}], name="a", init="metamask")
        >>> missed = transfer.evaluate(truth, [{"score": 0.9, **miss}], name="b", init="random")
        >>> summary = transfer.compare([hit, missed])
        >>> summary.baseline, [(group.init, round(group.values["bbox", "AP"].mean, 6)) for group in summary.groups]
        ('random', [('random', 0.0), ('metamask', 100.0)])
    """
    if resamples < 100 or seed < 0:
        raise InputError(
            f"--resamples, --picture-seed: expected 100 or more, 0 or more, found {resamples}, {seed}; change it"
        )
    runs = [record if isinstance(record, Record) else read_run(Path(record)) for record in records]
    if not runs:
        raise InputError("nothing to compare: expected at least one run, found none; name one")
    check_comparable(runs, searched=searched)
    return summarise(runs, baseline, resample(runs, resamples, seed))


def write_report(
    records: Sequence[Record | str | Path],
    out: str | Path,
    *,
    baseline: str | None = None,
    pretrain: Sequence[str | Path] = (),
    stages: str | Path | None = None,
    published: bool = False,
    images: int = 6,
    score: float = 0.5,
    seed: int = 0,
    resamples: int = RESAMPLES,
    force: bool = False,
    studied: Sequence[Studied] = (),
    searched: bool = False,
) -> Report:
    """Write the report on finished runs, everything or nothing: a page, Markdown, CSV, LaTeX, the records, a picture.

    Args:
        records: runs of one protocol on one val set. A run's folder also gives its training curves; a record
            (``read_record``) does not say where they lie.
        out: folder to write to: new, empty, or with a report on the same runs, which is replaced.
        baseline: the start to compare with; None for "random" where there is such a run.
        pretrain: pretraining runs' folders whose curves to show.
        stages: JSON list of {stage, seconds, command} to show, as the demo leaves it.
        published: also list published results of other protocols, apart.
        images: images of each kind to show, 1 or more.
        score: least score drawn, 0-1.
        seed: draws the random images and the val sets for the intervals, 0 or more.
        resamples: val sets drawn for the intervals, 100 or more.
        force: replace a report on other runs.
        studied: what a study knows of each run besides its record, in the same order; adds what each start cost, and
            what probes said beforehand.
        searched: the runs' learning rates may differ, for the same search has found one for each start.

    Returns:
        the files and what they say.

    Raises:
        InputError: a run cannot be read, runs cannot be compared, or ``out`` holds something else or cannot be written.

    Examples:
        Going on from ``finetune``'s example:

        >>> report = transfer.report([folder / "run"], folder / "report", resamples=100)
        >>> [path.name for path in report.paths]
        ['report.html', 'report.md', 'report.csv', 'table.tex', 'results.json', 'detections.png']
    """
    out = Path(out)
    if images < 1 or not 0 <= score <= 1:
        raise InputError(f"--images, --score: expected 1 or more, 0-1, found {images}, {score}; change it")
    places.check_folder(out)
    runs = [record if isinstance(record, Record) else read_run(Path(record)) for record in records]
    if not force:
        check_out(out, runs)
    chain = read_stages(Path(stages)) if stages is not None else []
    summary = compare(runs, baseline, resamples=resamples, seed=seed, searched=searched)
    known = {id(run): one for run, one in zip(runs, studied, strict=True)} if studied else {}
    groups = summary.at(summary.fractions[0])
    base = summary.base(summary.fractions[0])
    choice = Choice(images, score, seed)
    pictures = gallery(groups, base, summary.leading, choice, summary.images, summary.task)
    folders: list[Path | None] = [None if isinstance(record, Record) else Path(record) for record in records]
    if studied:
        folders = [one.folder for one in studied]
    tables = extra_tables(summary, known)
    extras = _extras(runs, folders, [Path(folder) for folder in pretrain], chain, apart=published)
    png, picture = _picture(pictures, score)
    beside = [(name, use) for name, use in BESIDE.items() if name != PICTURE or png]
    today = datetime.date.today().isoformat()
    extras = replace(extras, tables=tables, known=known, date=today, files=beside)
    files = {
        PAGE: page(summary, pictures, score, extras),
        TEXT: to_markdown(summary, extras.published, chain, picture, tables),
        CSV: csv_latex.to_csv(summary),
        LATEX: csv_latex.to_latex(summary, answer(summary)),
        RESULTS: records_text(out, runs),
    }
    write(out, files, png)
    return Report([out / name for name in (*files, *([PICTURE] if png else []))], summary, pictures.why or "")


def _extras(
    records: list[Record],
    folders: Sequence[Path | None],
    pretrain: Sequence[Path],
    stages: list[Stage],
    *,
    apart: bool,
) -> Extras:
    """Read everything but the records."""
    training = [None if path is None else curves.finetuning(path if path.is_dir() else path.parent) for path in folders]
    full = [record for record in records if record.label_fraction == 1]
    beside = published_results.beside(full) if full else []
    return Extras(
        finetuning=kept_curves(records, training),
        pretraining=[curves.pretraining(folder) for folder in pretrain],
        published=beside,
        apart=[row for row in published_results.rows() if row not in beside] if apart else [],
        frozen=published_results.frozen_rows() if apart else [],
        stages=stages,
    )


def _picture(pictures: Gallery, score: float) -> tuple[bytes | None, Picture]:
    """Draw the random images for ``report.md``, which cannot hold the page's gallery."""
    if not pictures.strips:
        return None, Picture(None, pictures.why)
    from transfer.drawing.png_grid import (  # matplotlib is loaded only when there is something to draw
        GridRow,
        detections_png,
    )

    strip = pictures.strips[-1]
    caption = f"{strip.caption}\nPredictions with a score of at least {score:.2f}."
    rows = [
        GridRow(
            image.name, image.pixels, [Selection(image.truth), *(choose(run.instances, score) for run in image.runs)]
        )
        for image in strip.images
    ]
    png = detections_png(rows, ["ground truth", *pictures.titles], pictures.classes, caption)
    return png, Picture(PICTURE, caption.replace("\n", " "))
