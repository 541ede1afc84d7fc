"""Cells as jobs of a queue: submitit without one, and a real SLURM of one node."""

import subprocess
import sys
import time

import pytest

from tests.cases import slurm_cluster
from transfer.errors import InputError
from transfer.studies.cells import Cell
from transfer.studies.slurm import HERE, QUEUE, CellJob, Jobs, firsts, wait

CELLS = [Cell(start, seed, labels) for start in ("a", "b") for seed in (0, 1) for labels in ("10%", "100%")]
NOTE = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + ' ')"
FAIL = "import sys; sys.exit('transfer study: lost: expected a, found b')"


def commands(folder, cells, code=NOTE):
    return {cell.name: ("-c", code, str(folder / "note.txt"), cell.name) for cell in cells}


def test_the_first_cell_of_each_start_and_seed_leads():
    assert [cell.name for cell in firsts(CELLS)] == ["a/0/10%", "a/1/10%", "b/0/10%", "b/1/10%"]


def test_without_submitit_or_a_queue_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"expected submitit, found none; pip install 'detection-transfer\[slurm\]'"):
        Jobs(tmp_path, {})


def test_a_machine_without_a_queue_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="--executor slurm: expected a queue and known parameters, found"):
        Jobs(tmp_path, {}, QUEUE)


def test_jobs_run_and_a_failed_one_says_its_last_line(tmp_path):
    pytest.importorskip("submitit")
    good, bad = CELLS[:2]
    jobs = Jobs(tmp_path, {"timeout_min": 2}, HERE)
    jobs.submit([good, bad], commands(tmp_path, [good]) | commands(tmp_path, [bad], FAIL), [])
    looks = []
    wait(jobs, 0.2, looks.append)
    assert looks[-1] == {}
    assert (tmp_path / "note.txt").read_text() == f"{good.name} "
    assert jobs.why(bad) == "transfer study: lost: expected a, found b"


def test_a_job_gives_its_command_time_to_save_before_it_is_queued_again(tmp_path):
    submitit = pytest.importorskip("submitit")
    code = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path(sys.argv[1]).write_text('saved'), sys.exit(1)))\n"
        "pathlib.Path(sys.argv[1]).write_text('begun')\n"
        "time.sleep(600)\n"
    )
    note = tmp_path / "note.txt"
    job = CellJob(("-c", code, str(note)))
    job._process = subprocess.Popen([sys.executable, *job.command])
    limit = time.monotonic() + 60
    while not (note.exists() and note.read_text() == "begun"):
        assert time.monotonic() < limit
        time.sleep(0.05)
    again = job.checkpoint()
    assert note.read_text() == "saved"
    assert isinstance(again, submitit.helpers.DelayedSubmission)


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A real SLURM; its commands work in this process."""
    pytest.importorskip("submitit")
    if why := slurm_cluster.missing():
        pytest.skip(why)
    with slurm_cluster.cluster(tmp_path / "cluster") as environment:
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, environment[name])
        yield tmp_path


@pytest.mark.slow
def test_a_real_queue_runs_the_rest_after_the_leaders(queue):
    jobs = Jobs(queue, {"timeout_min": 5, "cpus_per_task": 1})
    lead = firsts(CELLS)
    rest = [cell for cell in CELLS if cell not in lead]
    jobs.submit(lead, commands(queue, lead), [])
    jobs.submit(rest, commands(queue, rest), [jobs.ids[cell.name] for cell in lead])
    assert set(jobs.alive()) == {cell.name for cell in CELLS}
    assert set(Jobs(queue, {}).alive()) == {cell.name for cell in CELLS}  # a later call watches the same jobs
    wait(jobs, 1.0, lambda alive: None)
    names = (queue / "note.txt").read_text().split()
    assert set(names[:4]) == {cell.name for cell in lead}
    assert set(names[4:]) == {cell.name for cell in rest}


@pytest.mark.slow
def test_a_real_queue_requeues_what_it_preempts(queue):
    code = (
        "import pathlib, sys, time\n"
        "note = pathlib.Path(sys.argv[1])\n"
        "first = not note.exists()\n"
        "with note.open('a') as file:\n"
        "    file.write('begun ')\n"
        "time.sleep(600 if first else 0)\n"
    )
    jobs = Jobs(queue, {"timeout_min": 5})
    jobs.submit(CELLS[:1], commands(queue, CELLS[:1], code), [])
    number, note = jobs.ids[CELLS[0].name], queue / "note.txt"
    limit = time.monotonic() + 120
    while not note.exists():
        assert time.monotonic() < limit
        time.sleep(0.2)
    subprocess.run(["scancel", "--signal=USR2", number], check=True)  # what the queue sends before it preempts
    wait(jobs, 1.0, lambda alive: None)
    assert note.read_text() == "begun begun "
