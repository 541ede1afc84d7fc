"""One live table of a study: on the terminal where there is one, and always in ``study.md``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TextIO

from transfer.files.atomic import write_text
from transfer.records.record_file import TASKS, Record, read_run
from transfer.reporting.markdown import table
from transfer.studies.cells import Chain
from transfer.studies.local import BLOCKED, DONE, ELSEWHERE, FAILED, RUNNING, WAITING, State, times
from transfer.studies.step import KINDS

FILE_NAME = "study.md"
DASH = "–"
_OPEN = (WAITING, RUNNING, ELSEWHERE)


@dataclass
class Progress:
    """Shows how far a study is.

    Attributes:
        chains: its cells.
        out: its folder; ``study.md`` is written there.
        jobs: steps side by side, for the estimate of the time left.
        terminal: a terminal, or null to stay silent.
    """

    chains: Sequence[Chain]
    out: Path
    jobs: int
    terminal: TextIO | None = None
    _lines: int = 0
    _text: str = ""
    _records: dict[Path, Record] = field(default_factory=dict)
    _shown: float = 0.0

    def __call__(self, states: Sequence[State]) -> None:
        """Write the table, where it has changed."""
        text = self.text(states)
        if text != self._text:
            self._text = text
            write_text(self.out / FILE_NAME, text)
            self._show(text)

    def text(self, states: Sequence[State]) -> str:
        """The table of all steps, the time left, the AP so far, and what failed."""
        by_id = {state.step.id: state.status for state in states}
        ends = [by_id.get(chain.finetune.id, WAITING) for chain in self.chains]
        count = Counter(
            DONE if chain.finetune.product.exists() else end for chain, end in zip(self.chains, ends, strict=True)
        )
        left = len(ends) - count[DONE] - count[FAILED] - count[BLOCKED]
        lost = count[FAILED] + count[BLOCKED]
        parts = [
            f"{len(ends)} cells: {count[DONE]} done, {left} left, {lost} failed. {self._left(states)}",
            "",
            _steps(states),
            "",
        ]
        ap = self._ap()
        parts += [ap, ""] if ap else []
        for state in states:
            if state.status == FAILED:
                parts.append(f"- failed: {state.step.kind} {state.step.name}: {state.why} ({state.step.log})")
        return "\n".join(parts).rstrip() + "\n"

    def close(self) -> None:
        """Leave the last table on the terminal."""
        self._lines = 0

    def _left(self, states: Sequence[State]) -> str:
        mean = _means(states)
        rest = Counter(state.step.kind for state in states if state.status in _OPEN)
        if not rest:
            return "Nothing left to run."
        unknown = [kind for kind in rest if kind not in mean]
        if unknown:
            return f"Time left: not known before the first {' and '.join(unknown)}."
        minutes = sum(n * mean[kind] for kind, n in rest.items()) / self.jobs / 60
        return f"About {minutes / 60:.1f} h left." if minutes > 90 else f"About {minutes:.0f} min left."

    def _ap(self) -> str:
        """Mean AP of the cells that are done, by start and share of the labels."""
        groups: dict[tuple[str, str], list[Record]] = {}
        for chain in self.chains:
            file = chain.finetune.product
            if file not in self._records and file.exists():
                self._records[file] = read_run(file)
            if file in self._records:
                groups.setdefault((chain.cell.start, chain.cell.labels), []).append(self._records[file])
        rows = []
        for (start, labels), records in groups.items():
            aps = [[ap for r in records if (ap := r.metrics[task]["AP"]) is not None] for task in TASKS]
            rows.append(
                [start, labels, str(len(records)), *(f"{fmean(values):.1f}" if values else DASH for values in aps)]
            )
        return table(["start", "labels", "n", "box AP", "mask AP"], rows) if rows else ""

    def _show(self, text: str) -> None:
        if self.terminal is None:
            return
        back = f"\033[{self._lines}F\033[J" if self._lines else ""
        print(back + text, end="", file=self.terminal, flush=True)
        self._lines, self._shown = text.count("\n"), time.monotonic()


def _steps(states: Sequence[State]) -> str:
    mean, rows = _means(states), []
    for kind in KINDS:
        count = Counter(state.status for state in states if state.step.kind == kind)
        if count:
            seconds = f"{mean[kind]:.0f}" if kind in mean else DASH
            running = count[RUNNING] + count[ELSEWHERE]
            numbers = [count[DONE], running, count[WAITING], count[FAILED], count[BLOCKED]]
            rows.append([kind, *map(str, numbers), seconds])
    return table(["step", "done", "running", "left", "failed", "left out", "seconds each"], rows)


def _means(states: Sequence[State]) -> dict[str, float]:
    """Kind -> mean seconds of the steps that one attempt has finished."""
    seconds: dict[str, list[float]] = {}
    for state in states:
        if state.status == DONE:
            tried = times(state.step)
            if len(tried) == 1 and tried[0][1] == 0:
                seconds.setdefault(state.step.kind, []).append(tried[0][0])
    return {kind: fmean(values) for kind, values in seconds.items()}
