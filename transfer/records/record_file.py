"""The run record: everything a report needs to know about one finished run, in one JSON file.

``write`` and ``read`` are strict in both directions: a record that this module wrote reads back equal, and a file of
another schema, with a field missing or unknown, or with a metric outside 0-100 is refused with one line that names
the field. "Not measured" is null, never 0 and never -1.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from transfer.errors import InputError
from transfer.files.atomic import write_text
from transfer.files.decode import check_keys, decode, shown
from transfer.records.record import ALL_METRICS, PROTOCOLS, SCHEMA, TASKS, Record

FILE_NAME = "record.json"


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
    for task, names in (("metrics", ALL_METRICS), ("per_class", None)):
        _check_percents(getattr(record, task), names, f"{where}: {task}")
    _check_facts(record, where)
    return record


def _check_facts(record: Record, where: str) -> None:
    """Check what the types alone do not say."""
    check_keys(record.tide, TASKS, TASKS, f"{where}: tide")
    if record.weights is not None and record.init == "random":
        raise InputError(f'{where}: expected weights null when init is "random", found {record.weights.file}')
    if record.label_fraction is not None and not 0 < record.label_fraction <= 1:
        raise InputError(f"{where}: label_fraction: expected more than 0 and at most 1, found {record.label_fraction}")
    if record.protocol not in PROTOCOLS:
        raise InputError(f"{where}: protocol: expected one of {', '.join(PROTOCOLS)}, found {shown(record.protocol)}")


def _check_schema(schema: Any, where: str) -> None:
    if schema == SCHEMA:
        return
    name, _, version = str(schema).rpartition("/")
    if name != SCHEMA.rpartition("/")[0] or not version.isdigit():
        raise InputError(f"{where}: schema: expected {SCHEMA}, found {shown(schema)}; this is no run record")
    older = int(version) < int(SCHEMA.rpartition("/")[2])
    action = (
        "measure the run again (train_net --eval-only, or transfer evaluate)"
        if older
        else "update this package to read it"
    )
    raise InputError(
        f"{where}: the schema is {'older' if older else 'newer'}: expected {SCHEMA}, found {schema}; {action}"
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


def read_run(path: str | Path) -> Record:
    """Return the record of a run's folder (or the record file itself), its files as paths from here.

    ``detections`` lie below the folder; so does a ground truth that was made for the run, of a VOC folder, wherever the
    run has been moved to.

    Args:
        path: the folder that ``finetune`` wrote, or a file that ``evaluate`` wrote.

    Returns:
        the record: metrics in percent, seconds, bytes; None for what was not measured.

    Raises:
        InputError: no such file, no JSON, another schema, a field missing, unknown, of another type or out of range.

    Examples:
        Going on from ``finetune``'s example:

        >>> record = transfer.read_record(folder / "run")
        >>> record.name, record.seed, record.counts.objects
        ('run', 0, 1)
    """
    path = Path(path)
    record = read(path)
    folder = path if path.is_dir() else path.parent
    val = record.data.val
    own = folder / Path(val.annotations).name
    if not Path(val.annotations).is_file() and own.is_file():
        data = dataclasses.replace(record.data, val=dataclasses.replace(val, annotations=str(own)))
        record = dataclasses.replace(record, data=data)
    if record.detections is None:
        return record
    return dataclasses.replace(record, detections=str(folder / record.detections))
