"""The run record: everything a report needs to know about one finished run, in one JSON file.

``write`` and ``read`` are strict in both directions: a record that this module wrote reads back equal, and a file of
another schema, with a field missing or unknown, or with a metric outside 0-100 is refused with one line that names
the field. "Not measured" is null, never 0 and never -1.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfer.atomic import write_text
from transfer.decode import check_keys, decode, shown
from transfer.errors import InputError

SCHEMA = "transfer.record/1"
FILE_NAME = "record.json"
TASKS = ("bbox", "segm")
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


@dataclass(frozen=True)
class Weights:
    """The backbone a run started from.

    Attributes:
        file: path as the user gave it.
        sha256: of the file's bytes, in hexadecimal.
        loaded: model tensors that the file filled.
        expected: model tensors that a complete backbone fills; ``loaded == expected`` in an honest run.
        method: the pretraining method that the file names, null when it names none.
        metadata: what else the file says about itself.
    """

    file: str
    sha256: str
    loaded: int
    expected: int
    method: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """The detector's config: its file, and the SHA-256 of the resolved text, with every override applied."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Split:
    """One half of the data: where it lies (several sets joined by ``" + "``), what it holds and its fingerprint."""

    images: str
    annotations: str
    fingerprint: str
    n_images: int
    n_instances: int
    classes: list[str]


@dataclass(frozen=True)
class Data:
    """What the detector was trained on and measured on."""

    train: Split
    val: Split


@dataclass(frozen=True)
class Schedule:
    """The training budget: iterations, images per iteration, peak learning rate, its drops and its warm-up."""

    max_iter: int
    batch: int
    base_lr: float
    steps: list[int]
    warmup: int


@dataclass(frozen=True)
class Seconds:
    """Wall-clock seconds of the run's two parts, null where not measured."""

    train: float | None
    evaluate: float | None


@dataclass(frozen=True)
class Record:
    """One finished run.

    Attributes:
        name: what the user calls the run; the output folder's name unless given.
        init: "random", the pretraining method, or the stem of the weights' file: what a report groups by.
        seed: the training seed, null when none was fixed.
        weights: null exactly when ``init`` is "random".
        label_fraction: share of the training images whose labels were used, in (0, 1].
        engine: what computed the metrics, e.g. "pycocotools".
        versions: package -> version.
        device: in words, e.g. "CPU, 2 threads" or the GPU's name.
        metrics: task ("bbox", "segm") -> metric ("AP" ... "APl") -> percent, null where not measured.
        per_class: task -> class name -> AP in percent, null where the class has no instance.
        detections: COCO results file, relative to the record's folder; null when none was kept.
    """

    name: str
    init: str
    seed: int | None
    weights: Weights | None
    config: Config
    data: Data
    schedule: Schedule
    engine: str
    versions: dict[str, str]
    device: str
    seconds: Seconds
    metrics: dict[str, dict[str, float | None]]
    per_class: dict[str, dict[str, float | None]]
    detections: str | None
    label_fraction: float = 1.0
    schema: str = SCHEMA


def write(path: str | Path, record: Record) -> None:
    """Write ``record`` to ``path`` in one step.

    Raises:
        InputError: the record would not read back; the line names the field.
    """
    content = to_json(record)
    from_json(content, str(path))
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read(path: str | Path) -> Record:
    """Read a record; ``path`` is the file, or the run's folder that holds it under its usual name.

    Raises:
        InputError: no such file, no JSON, another schema, a field missing, unknown, of another type or out of range.
    """
    path = Path(path)
    file = path / FILE_NAME if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{file} is missing: expected a finished run's record, found nothing; was the run interrupted?"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: no JSON, or no UTF-8
        raise InputError(f"{file} cannot be read: expected a JSON record, found {error}; run it again") from None
    return from_json(content, str(file))


def to_json(record: Record) -> dict[str, Any]:
    """Return the record as plain dictionaries and lists, the schema first."""
    content = dataclasses.asdict(record)
    return {"schema": content.pop("schema"), **content}


def from_json(content: Any, where: str) -> Record:
    """Return the record that ``to_json`` turned into ``content``; ``where`` names it in errors.

    Raises:
        InputError: as ``read``.
    """
    if not isinstance(content, dict) or "schema" not in content:
        raise InputError(f'{where} is no run record: expected an object with "schema", found {shown(content)}')
    _check_schema(content["schema"], where)
    record: Record = decode(Record, content, f"{where}:")
    for task, names in (("metrics", METRICS), ("per_class", None)):
        _check_percents(getattr(record, task), names, f"{where}: {task}")
    if (record.weights is None) != (record.init == "random"):
        found = f'init "{record.init}" and weights {"null" if record.weights is None else "given"}'
        raise InputError(f'{where}: expected weights null exactly when init is "random", found {found}')
    if not 0 < record.label_fraction <= 1:
        raise InputError(f"{where}: label_fraction: expected more than 0 and at most 1, found {record.label_fraction}")
    return record


def _check_schema(found: Any, where: str) -> None:
    if found == SCHEMA:
        return
    name, _, version = str(found).rpartition("/")
    if name != SCHEMA.rpartition("/")[0] or not version.isdigit():
        raise InputError(f"{where}: schema: expected {SCHEMA}, found {shown(found)}; this is no run record")
    older = int(version) < int(SCHEMA.rpartition("/")[2])
    action = "evaluate the run again with this version" if older else "update this package to read it"
    raise InputError(
        f"{where}: the schema is {'older' if older else 'newer'}: expected {SCHEMA}, found {found}; {action}"
    )


def _check_percents(tasks: dict[str, dict[str, float | None]], names: tuple[str, ...] | None, where: str) -> None:
    """Check that both tasks are there, with exactly ``names`` (any when None), each null or in 0-100."""
    check_keys(tasks, TASKS, TASKS, where)
    for task, values in tasks.items():
        if names is not None:
            check_keys(values, names, names, f"{where}.{task}")
        for name, value in values.items():
            if value is not None and not 0 <= value <= 100:
                raise InputError(f"{where}.{task}.{name}: expected a number in 0-100 or null, found {value}")
