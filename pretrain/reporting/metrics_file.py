"""``metrics.jsonl``: every logged number of a run, one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pretrain.atomic import write_text

NAME = "metrics.jsonl"


class MetricsFile:
    """The lines of one run; each has its ``iteration``, counted from 1.

    Args:
        path: the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, iteration: int, values: dict[str, float]) -> None:
        """Add one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"iteration": iteration, **values}) + "\n")

    def drop_after(self, iteration: int) -> None:
        """Leave out the lines of later iterations, and a last line that a kill cut short."""
        if self.path.exists():
            lines = [line for line in self._lines() if json.loads(line)["iteration"] <= iteration]
            write_text(self.path, "".join(f"{line}\n" for line in lines))

    def read(self) -> list[dict[str, Any]]:
        """All whole lines in the order of their iterations; [] without a file."""
        return sorted((json.loads(line) for line in self._lines()), key=lambda line: int(line["iteration"]))

    def values(self, key: str) -> list[float]:
        """One number over time: its value on every line that has it."""
        return [line[key] for line in self.read() if key in line]

    def _lines(self) -> list[str]:
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line.rstrip("\n") for line in lines if line.endswith("\n")]
