"""A study from its file to its report: what is missing is run, what is there stays."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transfer.errors import InputError
from transfer.studies import terms
from transfer.studies.cells import Cell, Chain, cells, chain, select
from transfer.studies.inputs import check_fine_tuning, look
from transfer.studies.local import DONE, FAILED, RUNNING, WAITING, Local, State, check_gpus, visible_gpus
from transfer.studies.progress import Progress
from transfer.studies.rehearsal import rehearse
from transfer.studies.results import report
from transfer.studies.slurm import QUEUE, Jobs, firsts, wait
from transfer.studies.step import in_order
from transfer.studies.steps import Course, Steps
from transfer.studies.study_file import read_study

LOCAL, SLURM = "local", "slurm"


@dataclass(frozen=True)
class Outcome:
    """What a call of ``run`` left.

    Attributes:
        cells: those that this call was about.
        done: those whose record is there.
        failed: what went wrong, one line each.
        report: the report's folder; null when none was written.
        note: why not.
    """

    cells: tuple[str, ...]
    done: tuple[str, ...]
    failed: tuple[str, ...]
    report: Path | None
    note: str = ""


def run(
    study: str | Path,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    shard: tuple[int, int] = (0, 1),
    jobs: int | None = None,
    executor: str = LOCAL,
    slurm: Mapping[str, object] | None = None,
    report_only: bool = False,
    cluster: str = QUEUE,
    poll: float = 10.0,
) -> Outcome:
    """Run the cells of a study that are missing, and report on all that are there.

    Args:
        study: a study file, or the name of a packaged one.
        out: folder for everything; the same folder goes on.
        only: cells by START, START/SEED or START/SEED/LABELS; empty for all.
        shard: (i, n): the i-th of n parts of the cells, for other schedulers.
        jobs: steps side by side; null for one on each GPU, or one on a machine without.
        executor: "local", or "slurm" for one job of the queue a cell.
        slurm: parameters of the jobs, under submitit's names.
        report_only: run nothing.
        cluster: "local" runs the queue's jobs without a queue, to try them.
        poll: seconds between two looks at the queue.

    Returns:
        the cells that are there and those that failed, and where the report lies.

    Raises:
        InputError: anything the user can put right; nothing has been run then.
        Interrupted: Ctrl-C or SIGTERM; what was running has been stopped, and the same call goes on.

    Examples:
        A mistake is found before anything runs; ``transfer.study("digits_small", "runs/digits")`` itself takes minutes:

        >>> import tempfile, transfer
        >>> folder = tempfile.mkdtemp()
        >>> try:
        ...     transfer.study("digits_smal", folder)
        ... except transfer.InputError as error:
        ...     print("digits_small" in str(error))
        True
    """
    out = Path(out)
    steps = open_study(study, out)
    every = cells(steps.study)
    chosen = select(every, only, shard)
    if report_only:
        return _outcome(steps, every, every, known_courses(steps), [])
    check_fine_tuning(steps.study, steps.inputs, out)
    if executor == SLURM:
        failed = _on_slurm(str(study), steps, chosen, Jobs(out, slurm or {}, cluster), poll)
        return _outcome(steps, chosen, every if chosen == every else (), known_courses(steps), failed)
    devices = visible_gpus()
    check_gpus(devices, max(steps.study.gpus, steps.study.detector.gpus))
    local = Local(out, jobs or max(1, len(devices)), devices)
    progress = Progress([], out, local.jobs, sys.stderr if sys.stderr.isatty() else None)
    local.watch = progress
    courses = terms.courses_of(steps, list(dict.fromkeys(cell.start for cell in chosen)), local.run)
    progress.chains = [chain(cell, steps, courses) for cell in chosen]
    states = local.run([step for one in progress.chains for step in one.steps])
    chains = {one.cell: one for one in progress.chains}
    failed = [f"{_cells_of(s, chains)}: {s.step.kind}: {s.why}; see {s.step.log}" for s in states if s.status == FAILED]
    return _outcome(steps, chosen, every if chosen == every else (), known_courses(steps) | courses, failed)


def _on_slurm(study: str, steps: Steps, chosen: Sequence[Cell], jobs: Jobs, poll: float) -> list[str]:
    """Queue the cells that are neither done nor queued, wait for all, and say which failed and why."""

    def missing() -> list[Cell]:
        courses = known_courses(steps)
        there = {
            c for c in chosen if c.start in courses and all(s.product.exists() for s in chain(c, steps, courses).steps)
        }
        return [cell for cell in chosen if cell not in there]

    def look(alive: Mapping[str, bool]) -> None:
        courses = known_courses(steps)
        progress.chains = [chain(cell, steps, courses) for cell in chosen if cell.start in courses]
        states: dict[str, State] = {}
        for one in progress.chains:
            word = RUNNING if alive.get(one.cell.name) else WAITING
            for step in in_order(one.steps):
                states.setdefault(step.id, State(step, DONE if step.product.exists() else word))
        progress(list(states.values()))

    progress = Progress([], steps.out, 1, sys.stderr if sys.stderr.isatty() else None)
    alive = jobs.alive()
    new = [cell for cell in missing() if cell.name not in alive]
    commands = {
        c.name: ("-m", "transfer", "study", study, "--out", str(steps.out), "--only", c.name) for c in new
    }  # fmt: skip
    lead = firsts(new)
    jobs.submit(lead, commands, [])
    jobs.submit([cell for cell in new if cell not in lead], commands, [jobs.ids[cell.name] for cell in lead])
    wait(jobs, poll, look)
    return [f"{cell.name}: {jobs.why(cell)}" for cell in missing()]


def plan(
    study: str | Path,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    shard: tuple[int, int] = (0, 1),
    jobs: int | None = None,
) -> str:
    """What ``--dry-run`` prints: every cell's commands, the measured cost of each kind of step, hours and gigabytes.

    The study's own data are composed and a few iterations of each start are run; no cell is.

    Raises:
        InputError, Interrupted: as ``run``.
    """
    steps = open_study(study, Path(out))
    chosen = select(cells(steps.study), only, shard)
    check_fine_tuning(steps.study, steps.inputs, Path(out))
    devices = visible_gpus()
    local = Local(Path(out), jobs or max(1, len(devices)), devices)
    return rehearse(steps, chosen, local)


def open_study(study: str | Path, out: Path) -> Steps:
    """Read and check a study; nothing has been run.

    Raises:
        InputError: the file, the data, a start or the disk cannot be used, or ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: expected a folder, found a file; name another")
    content = read_study(study)
    return Steps(content, look(content, out), out)


def known_courses(steps: Steps) -> dict[str, Course]:
    """What the terms give each start, as read from what is there; starts that are not measured yet are left out."""
    courses: dict[str, Course] = {}
    for name in steps.study.starts:
        try:
            courses |= terms.courses_of(steps, [name], terms.nothing)
        except (InputError, OSError):
            continue  # not measured yet: it has no cell to report on
    return courses


def _outcome(
    steps: Steps, chosen: Sequence[Cell], reported: Sequence[Cell], courses: Mapping[str, Course], failed: Sequence[str]
) -> Outcome:
    """What is there now; ``reported`` are the cells to report on, none for a call about a part of them."""
    chains = {cell: chain(cell, steps, courses) for cell in (*chosen, *reported) if cell.start in courses}
    done = tuple(c.name for c in chosen if c in chains and chains[c].finetune.product.exists())
    there = [chains[c] for c in reported if c in chains and chains[c].finetune.product.exists()]
    folder, note = None, "no cell is done" if reported else ""
    if there:
        try:
            folder, note = report(steps, there), ""
        except InputError as error:  # a few cells of many may not be comparable yet
            if len(there) == len(reported):
                raise
            note = str(error)
    return Outcome(tuple(c.name for c in chosen), done, tuple(failed), folder, note)


def _cells_of(state: State, chains: Mapping[Cell, Chain]) -> str:
    """The cells that a step belongs to, in one word where that is possible."""
    names = [c.name for c, one in chains.items() if state.step.id in {s.id for s in in_order(one.steps)}]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else state.step.name
