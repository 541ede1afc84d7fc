"""The commands of a chain such as the demo: run one after the other, written as they finish, shown by a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transfer.errors import InputError
from transfer.files.atomic import write_text


@dataclass(frozen=True)
class Stage:
    """One command of a chain.

    Attributes:
        name: for tables and logs.
        command: what a user would type, quoted for a shell.
        seconds: wall-clock time it took; None before it is done.
    """

    name: str
    command: str
    seconds: float | None = None


def write(file: Path, stages: Sequence[Stage]) -> None:
    """Write finished stages as a JSON list of {stage, seconds, command}, in one step."""
    content = [{"stage": s.name, "seconds": s.seconds, "command": s.command} for s in stages]
    write_text(file, json.dumps(content, indent=2) + "\n")


def read(file: Path) -> list[Stage]:
    """Read what ``write`` wrote.

    Raises:
        InputError: no such file, or another content.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [Stage(str(entry["stage"]), str(entry["command"]), float(entry["seconds"])) for entry in content]
    except FileNotFoundError:
        raise InputError(f"{file} is missing: expected a list of stages, found nothing; leave --stages out") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{file}: expected a JSON list of stage, seconds and command, found {type(error).__name__} {error}; "
            "leave --stages out"
        ) from None
