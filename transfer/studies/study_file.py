"""The study file: where it is found, and how it is read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

import transfer
from transfer.errors import InputError
from transfer.studies import rules
from transfer.studies.schema import RANDOM, Study
from transfer.studies.yaml_fields import decode, read_yaml


def read_study(path: str | Path) -> Study:
    """Read a study file, a path or the name of a packaged one.

    Raises:
        InputError: no such file, or one that says what no study can mean; one line that names the key.
    """
    file = find_study(str(path))
    content = dict(read_yaml(file))
    starts = content.get("starts")
    if isinstance(starts, Mapping):  # the one shorthand: `random: random`
        content["starts"] = {name: {} if value == RANDOM else value for name, value in starts.items()}
    study = decode(Study, content, f"{file}:")
    for what, holds in rules.rules(study):
        if not holds:
            raise InputError(f"{file}: {what}")
    return study


def find_study(name: str) -> Path:
    """The study file ``name``: a path, or one of the packaged studies under its path in a checkout or its bare name.

    Raises:
        InputError: no such file; close names are given.
    """
    if Path(name).is_file():
        return Path(name)
    package = Path(transfer.__file__).parent
    packaged = [
        f for root in (package / "configs", package.parent / "configs") for f in sorted(root.glob("studies/*.yaml"))
    ]
    for file in packaged:
        if name in (f"configs/studies/{file.name}", f"studies/{file.name}", file.name, file.stem):
            return file
    close = difflib.get_close_matches(Path(name).name, [f.name for f in packaged], n=3, cutoff=0.4)
    hint = f"; packaged studies with a similar name: {', '.join(close)}" if close else ""
    raise InputError(f"{name}: expected a study file, found nothing here or among the packaged studies{hint}")
