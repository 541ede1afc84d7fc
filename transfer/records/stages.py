"""What the demo did on the way to a report: written by the one, shown by the other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transfer.errors import InputError
from transfer.files.atomic import write_text


@dataclass(frozen=True)
class Stage:
    """One command that led to a report, and how many seconds it took."""

    stage: str
    seconds: float
    command: str


def write_stages(file: Path, stages: Sequence[Stage]) -> None:
    """Write ``stages`` as a JSON list, in one step."""
    write_text(file, json.dumps([dataclasses.asdict(stage) for stage in stages], indent=2) + "\n")


def read_stages(file: Path) -> list[Stage]:
    """Read what ``write_stages`` wrote.

    Raises:
        InputError: no such file, or another content.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [Stage(str(entry["stage"]), float(entry["seconds"]), str(entry["command"])) for entry in content]
    except FileNotFoundError:
        raise InputError(f"{file} is missing: expected a list of stages, found nothing; leave --stages out") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{file}: expected a JSON list of stage, seconds and command, found {type(error).__name__} {error}; "
            "leave --stages out"
        ) from None
