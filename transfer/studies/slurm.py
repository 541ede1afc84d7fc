"""Cells as jobs of SLURM's queue, through submitit: one job a cell, requeued where the queue preempts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfer.errors import InputError
from transfer.files.atomic import write_text
from transfer.studies.local import PATIENCE, last_line

if TYPE_CHECKING:  # a job loads this module, and need not load Detectron2 for it
    from transfer.studies.cells import Cell

FOLDER = "slurm"
QUEUE, HERE = "slurm", "local"  # submitit's clusters; "local" runs the same jobs without a queue


@dataclass
class CellJob:
    """What a job runs: the study again, for one cell; it goes on where an earlier job of the cell has ended.

    Attributes:
        command: without the interpreter, which is that of the job.
    """

    command: tuple[str, ...]
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __call__(self) -> None:
        """Run the command; an error of it is the job's."""
        self._process = subprocess.Popen([sys.executable, *self.command], preexec_fn=_spare)
        if code := self._process.wait():
            raise RuntimeError(f"the cell ended with exit code {code}")

    def checkpoint(self) -> Any:
        """Let the command save and queue the cell again: submitit calls this before the queue takes the machine."""
        import submitit

        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return submitit.helpers.DelayedSubmission(CellJob(self.command))


def _spare() -> None:
    """In a new process: the queue's warning reaches every process of a job, and is for submitit alone."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


class Jobs:
    """The jobs of a study's cells; a later call reads their numbers, and watches them rather than submit again.

    Args:
        out: the study's folder.
        parameters: of the jobs, under submitit's names.
        cluster: QUEUE or HERE.

    Raises:
        InputError: submitit is not installed, or there is no SLURM here.
    """

    def __init__(self, out: Path, parameters: Mapping[str, object], cluster: str = QUEUE) -> None:
        try:
            import submitit
        except ModuleNotFoundError:
            raise InputError(
                "--executor slurm: expected submitit, found none; pip install 'detection-transfer[slurm]'"
            ) from None
        self._folder, self._cluster = out / FOLDER, cluster
        try:
            self._executor = submitit.AutoExecutor(folder=self._folder / "%j", cluster=cluster)
            self._executor.update_parameters(name="study", **parameters)
        except (RuntimeError, TypeError, ValueError, NameError) as error:
            raise InputError(
                f"--executor slurm: expected a queue and known parameters, found {_one_line(error)}"
            ) from None
        self.ids: dict[str, str] = {}  # cell -> job
        self._held: dict[str, Any] = {}  # job -> submitit's own
        if (self._folder / "jobs.txt").is_file():
            lines = (self._folder / "jobs.txt").read_text(encoding="utf-8").splitlines()
            self.ids = dict(line.split("\t") for line in lines)

    def submit(self, cells: Sequence[Cell], commands: Mapping[str, tuple[str, ...]], after: Sequence[str]) -> None:
        """Queue cells as one array, to begin when the jobs ``after`` have ended, however they end.

        Raises:
            InputError: the queue refuses them.
        """
        if not cells:
            return
        numbers = sorted({number.split("_")[0] for number in after})
        if self._cluster == QUEUE:
            dependency = {"dependency": f"afterany:{':'.join(numbers)}"} if numbers else {}
            self._executor.update_parameters(slurm_additional_parameters=dependency)
        try:
            with self._executor.batch():
                jobs = [self._executor.submit(CellJob(commands[cell.name])) for cell in cells]
            submitted = {cell.name: str(job.job_id) for cell, job in zip(cells, jobs, strict=True)}
        except Exception as error:  # submitit's own class, of which it has several
            raise InputError(
                f"--executor slurm: expected the queue to take the jobs, found {_one_line(error)}"
            ) from None
        self._held |= {str(job.job_id): job for job in jobs}
        self.ids |= submitted
        write_text(self._folder / "jobs.txt", "".join(f"{name}\t{number}\n" for name, number in self.ids.items()))

    def alive(self) -> dict[str, bool]:
        """Cell -> whether its job runs (else it waits), for those whose job is in the queue."""
        if self._cluster == HERE:
            return {c: True for c, number in self.ids.items() if number in self._held and not self._held[number].done()}
        shown = subprocess.run(["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i %T"],
                               capture_output=True, text=True)  # fmt: skip
        if shown.returncode:
            return dict.fromkeys(self.ids, False)  # the queue does not answer now: nothing is known to have ended
        states = {line.split()[0]: line.split()[1] for line in shown.stdout.splitlines() if line.strip()}
        # sacct would say more, but many a cluster has none.
        return {c: states[number] != "PENDING" for c, number in self.ids.items() if number in states}

    def why(self, cell: Cell) -> str:
        """The last line that a cell's job has printed."""
        number = self.ids[cell.name]
        logs = sorted((self._folder / number.split("_")[0]).glob(f"{number}_*_log.err"))
        return next((line for log in reversed(logs) if (line := _said(log))), "its job ended without a word")


def firsts(cells: Sequence[Cell]) -> list[Cell]:
    """One cell of each start and seed: what the others share is made by it, and they wait for it."""
    return list({(cell.start, cell.seed): cell for cell in reversed(cells)}.values())[::-1]


def wait(jobs: Jobs, poll: float, look: Any) -> None:
    """Wait until no job is in the queue; ``look`` is called with ``Jobs.alive`` each ``poll`` seconds."""
    while True:
        alive = jobs.alive()
        look(alive)
        if not alive:
            return
        time.sleep(poll)


def _said(log: Path) -> str:
    """The last line that is the study's own, before the traceback of the job around it."""
    lines = [
        line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if "transfer study:" in line
    ]
    return lines[-1] if lines else last_line(log)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
