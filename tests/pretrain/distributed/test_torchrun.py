"""The launcher itself: two agents that stand for two nodes, a rank that dies, and torchrun's own restart."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cases import runs
from tests.cases.runs import Run, assert_same_to_the_bit, free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory):
    work = tmp_path_factory.mktemp("undisturbed") / "run"
    Run(inputs, work, processes=2).ends_well()
    return work


def torchrun(inputs, work, *launcher, options=(), flags=()):
    """An agent; what it and its processes print goes to ``WORK.log``."""
    command = [sys.executable, "-m", "torch.distributed.run", *launcher, "-m", "pretrain"]
    with work.with_name(f"{work.name}.log").open("ab") as log:
        return subprocess.Popen(
            [*command, *runs.arguments(inputs, work, *flags, options=options)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def ranks_of(agent):
    """Process ids of an agent's ranks."""
    return [int(p) for p in Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()]


def printed(work):
    return work.with_name(f"{work.name}.log").read_text()


def wait_for_iterations(work, count, seconds=300):
    end, path = time.monotonic() + seconds, work / "metrics.jsonl"
    while not (path.exists() and len(path.read_text().splitlines()) >= count):
        assert time.monotonic() < end, printed(work)
        time.sleep(0.01)


def test_two_agents_on_one_machine_are_two_nodes(inputs, undisturbed, tmp_path):
    """And their training is that of two processes of one node, to the bit."""
    meeting = ["--nnodes", "2", "--nproc_per_node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "test"]
    meeting += ["--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--local-addr", "127.0.0.1"]
    agents = [torchrun(inputs, tmp_path / "run", *meeting) for _ in range(2)]
    assert [agent.wait(timeout=500) for agent in agents] == [0, 0], printed(tmp_path / "run")
    assert_same_to_the_bit(tmp_path / "run", undisturbed)


def test_torchruns_restart_resumes(inputs, undisturbed, tmp_path):
    agent = torchrun(inputs, tmp_path / "run", "--nproc_per_node", "2", "--max-restarts", "1")
    wait_for_iterations(tmp_path / "run", 4)
    os.kill(ranks_of(agent)[1], signal.SIGKILL)
    assert agent.wait(timeout=500) == 0, printed(tmp_path / "run")
    assert "resuming from" in printed(tmp_path / "run")
    assert_same_to_the_bit(tmp_path / "run", undisturbed)


def test_a_dead_rank_ends_the_job_with_one_line_of_ours(inputs, tmp_path):
    agent = torchrun(inputs, tmp_path / "run", "--nproc_per_node", "2")
    wait_for_iterations(tmp_path / "run", 2)
    os.kill(ranks_of(agent)[1], signal.SIGKILL)
    assert agent.wait(timeout=500) == 1
    lines = [line for line in printed(tmp_path / "run").splitlines() if line.startswith("pretrain: ")]
    assert len(lines) <= 1  # torchrun may end rank 0 before it notices; its own report follows in any case
    assert "Signal 9 (SIGKILL) received by PID" in printed(tmp_path / "run")


def test_a_dry_run_is_of_the_whole_job_and_said_once(inputs, tmp_path):
    options = ["meta.every=1", "data.workers=1"]
    agent = torchrun(inputs, tmp_path / "run", "--nproc_per_node", "2", options=options, flags=["--dry-run"])
    assert agent.wait(timeout=500) == 0, printed(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    lines = printed(tmp_path / "run").splitlines()
    assert len([line for line in lines if "nothing kept" in line]) == 1
    (first,) = [k for k, line in enumerate(lines) if line.startswith("dry run on")]
    assert (
        lines[first] == "dry run on 2 processes, each CPU, 1 threads: 5 iterations of 4 images measured, nothing kept"
    )
    memory, by_rank, speed, waiting, job, disk = lines[first + 1 : first + 7]
    each = [float(number) for number in re.fullmatch(r" +ranks 0-1: (\S+) (\S+) GB", by_rank).groups()]
    assert re.match(rf"memory     {max(each):.2f} GB of \S+ GB on the fullest, rank {each.index(max(each))} ", memory)
    images, seconds = map(float, re.fullmatch(r"speed      (\S+) img/s, (\S+) s an iteration", speed).groups())
    assert images * seconds == pytest.approx(4, rel=0.05)  # both processes' images
    assert "(1 loader processes of each; the rank that waits most)" in waiting
    assert job.endswith("for 9 iterations, estimated")
    assert not disk.startswith("disk       0.00 GB")


def test_what_is_wrong_on_all_ranks_is_said_once(inputs, tmp_path):
    for option, expected in (
        ("data.batch=5", "expected a multiple of the 2 processes"),
        ("meta.hypergradient=forward_mode", "expected one process, found 2"),
        ("run.compile=True", "run.compile=True: expected one process, found 2"),
    ):
        work = tmp_path / option.split("=")[0]
        agent = torchrun(inputs, work, "--nproc_per_node", "2", options=[option])
        assert agent.wait(timeout=500) == 1
        lines = [line for line in printed(work).splitlines() if line.startswith("pretrain: ")]
        assert len(lines) == 1
        assert expected in lines[0]
        assert not work.exists()
