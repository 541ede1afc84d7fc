"""Detections and a ground truth in, a run record out."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transfer.data.ids import is_one_line
from transfer.errors import InputError
from transfer.evaluation import detection_doubts
from transfer.evaluation import detections as results_file
from transfer.evaluation import ground_truth as annotation_file
from transfer.evaluation.detections import Detections
from transfer.evaluation.engines import ENGINES
from transfer.evaluation.ground_truth import GroundTruth
from transfer.evaluation.measure import Measured, measure
from transfer.files import places
from transfer.files.json_files import encode, large_values
from transfer.records import machine, record_file
from transfer.records.record import Cost, Data, Record, Seconds
from transfer.records.record_file import read_run

log = logging.getLogger(__name__)

# What stands for a file's name where values were given instead of one.
TRUTH_IN_MEMORY, DETECTIONS_IN_MEMORY = Path("the ground truth given"), Path("the detections given")


@large_values()
def evaluate(
    ground_truth: Mapping[str, Any] | str | Path | None = None,
    detections: Sequence[Mapping[str, Any]] | str | Path | None = None,
    *,
    out: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    engine: str = "hotcoco",
    cross_check: bool = False,
    run: str | Path | None = None,
    name: str | None = None,
    init: str | None = None,
    seed: int | None = None,
    force: bool = False,
) -> Record:
    """Measure detections on a ground truth: AP, AR and what each kind of error costs.

    Args:
        ground_truth: a COCO- or LVIS-format annotation file, or its content (a dictionary of ``images``,
            ``annotations`` and ``categories``, boxes as x, y, width, height in pixels); None for the run's own.
        detections: a COCO results file, or its content: dictionaries with ``image_id``, ``category_id``, ``score``
            (0-1), and ``bbox`` in pixels or ``segmentation`` or both, numpy's numbers too; None for the run's own.
        out: the record's file; None to write none.
        tasks: "bbox", "segm" or both; None for what both sides have.
        engine: "hotcoco" or "pycocotools", which agree to rounding.
        cross_check: measure with the other engine as well and compare every number.
        run: a finished run whose training the record describes.
        name: what reports call the run; None for the run's name, or that of the record's or the results' file.
        init: what a report groups runs by, "random" or the pretraining; None for the run's, or the name.
        seed: the training's, by which a report pairs runs.
        force: replace the record.

    Returns:
        the record: ``metrics[task][name]`` in percent, None where not measured.

    Raises:
        InputError: a file is missing, nothing can be measured, a detection or an annotation is at fault (the line names
            the first), the engines disagree, or ``out`` is taken or cannot be written.

    Examples:
        One object, found exactly:

        >>> import transfer
        >>> box = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 30]}
        >>> truth = {
        ...     "images": [{"id": 1, "width": 100, "height": 80}],
        ...     "categories": [{"id": 1, "name": "cat"}],
        ...     "annotations": [{"id": 1, "area": 1200, "iscrowd": 0, **box}],
        ... }
        >>> record = transfer.evaluate(truth, [{"score": 0.9, **box}], name="mine")
        >>> round(record.metrics["bbox"]["AP"], 6), record.metrics["segm"]["AP"]
        (100.0, None)
    """
    if engine not in ENGINES:
        raise InputError(f"no such engine: expected one of {', '.join(ENGINES)}, found {engine}; correct it")
    for flag, value in (("--name", name), ("--init", init)):
        if value is not None and not is_one_line(value):
            raise InputError(f"{flag}: expected a text of one line, found {value!r}; correct it")
    if out is not None:
        out = Path(out)
        if (out.exists() or out.is_symlink()) and not force:
            raise InputError(f"{out} is taken: expected a new file, found one; name another or use --force")
    known = read_run(Path(run)) if run is not None else None
    truth_source, results_source = _sources(ground_truth, detections, known)
    if out is not None:
        files = [source if isinstance(source, Path) else None for source in (truth_source, results_source)]
        places.check_file(out, replace=True, inputs=files)
    start = time.perf_counter()
    if isinstance(truth_source, Path):
        truth = annotation_file.read(truth_source, tasks)
    else:
        truth = annotation_file.read(TRUTH_IN_MEMORY, tasks, encode(truth_source, str(TRUTH_IN_MEMORY)))
    if isinstance(results_source, Path):
        results = results_file.read(results_source, truth, tasks)
    else:
        raw = encode(results_source, str(DETECTIONS_IN_MEMORY))
        results = results_file.read(DETECTIONS_IN_MEMORY, truth, tasks, raw)
    for line in detection_doubts.lines(truth, results):
        log.warning("%s: %s", results.file, line)
    if known is not None and known.protocol != truth.protocol:
        rules = f"measuring by {truth.protocol}'s rules, not by {known.protocol}'s as {known.name}'s own record"
        log.warning("%s: the two records cannot be compared", rules)
    for slow in ENGINES if cross_check else (engine,):
        if slow == "pycocotools":
            log.warning("measuring %d detections with pycocotools: minutes on a large set", len(results))
    measured = measure(truth, results, engine, cross_check=cross_check)
    seconds = Seconds(known.seconds.train if known else None, time.perf_counter() - start)
    if name is None:
        name = known.name if known else out.stem if out is not None else results.file.stem
    stored = isinstance(results_source, Path)
    record = _record(known, truth, results, measured, seconds, name=name, engine=engine, stored=stored)
    changes: dict[str, Any] = {"init": record.init if init is None else init}
    changes["seed"] = record.seed if seed is None else seed
    changes["weights"] = None if changes["init"] == "random" else record.weights
    record = dataclasses.replace(record, **changes)
    if out is not None:
        beside = os.path.relpath(results.file, out.parent) if stored else None
        record_file.write(out, dataclasses.replace(record, detections=beside))
    return record


def _record(
    known: Record | None,
    truth: GroundTruth,
    results: Detections,
    measured: Measured,
    seconds: Seconds,
    *,
    name: str,
    engine: str,
    stored: bool,
) -> Record:
    """Return what was measured, with what is known of the training."""
    val, leaks = truth.split(), None
    if known is not None and known.data.val.fingerprint == truth.sha256:
        val, leaks = known.data.val, known.data.leaks  # which also says where the images are
    return Record(
        name=name,
        init=known.init if known else name,
        seed=known.seed if known else None,
        weights=known.weights if known else None,
        config=known.config if known else None,
        data=Data(known.data.train if known else None, val, leaks),
        schedule=known.schedule if known else None,
        label_fraction=known.label_fraction if known else None,
        engine=engine,
        protocol=truth.protocol,
        versions={**(known.versions if known else {}), **machine.versions()},
        device=known.device if known else f"CPU, {os.cpu_count()} cores",
        seconds=seconds,
        cost=known.cost if known else Cost(peak_memory=machine.peak_memory()),
        metrics=measured.metrics,
        per_class=measured.per_class,
        tide=measured.tide,
        cross_check=measured.cross_check,
        counts=truth.counts(len(results)),
        detections=str(results.file) if stored else None,
        detections_sha256=results.sha256 if stored else None,
    )


def _sources(
    ground_truth: Mapping[str, Any] | str | Path | None,
    detections: Sequence[Mapping[str, Any]] | str | Path | None,
    known: Record | None,
) -> tuple[Mapping[str, Any] | Path, Sequence[Mapping[str, Any]] | Path]:
    """Return ground truth and detections: as given, or the run's own."""
    if known is not None:
        if ground_truth is None:
            ground_truth = known.data.val.annotations
        if detections is None:
            detections = known.detections
    if ground_truth is None or detections is None:
        missing = "--gt ANN.json" if ground_truth is None else "--detections RESULTS.json"
        raise InputError(f"nothing to measure: expected {missing}, found none; give it")
    return (
        Path(ground_truth) if isinstance(ground_truth, str | Path) else ground_truth,
        Path(detections) if isinstance(detections, str | Path) else detections,
    )
