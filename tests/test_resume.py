"""Killed anywhere and resumed: to the bit the weights, momenta and losses of the run that nobody killed."""

import random
import shutil
import signal
import time

import pytest
import torch

from pretrain.checkpoint_files import BEST, find_checkpoints
from tests import runs
from tests.runs import Run, assert_same_to_the_bit

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory):
    """processes -> the work folder of a run from beginning to end."""
    found = {}

    def get(processes):
        if processes not in found:
            work = tmp_path_factory.mktemp("undisturbed") / f"run{processes}"
            began = time.monotonic()
            Run(inputs, work, processes=processes).ends_well()
            found[processes] = work, time.monotonic() - began
        return found[processes]

    return get


def test_killed_in_the_middle_of_an_epoch(inputs, undisturbed, tmp_path):
    run = Run(inputs, tmp_path / "run")
    moment = random.randint(3, 7)
    run.until(lambda: run.done() >= moment)
    time.sleep(random.uniform(0, 0.2))
    run.kill()
    again = Run(inputs, tmp_path / "run", "--resume").ends_well()
    assert "resuming from" in again.said()
    assert_same_to_the_bit(tmp_path / "run", undisturbed(1)[0])


def test_killed_while_a_checkpoint_is_being_written(inputs, undisturbed, tmp_path):
    run = Run(inputs, tmp_path / "run")
    run.until(lambda: run.done() >= random.randint(2, 7) and run.writing())
    run.kill()
    left = [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()]
    Run(inputs, tmp_path / "run", "--resume").ends_well()
    assert not list((tmp_path / "run" / "checkpoints").glob(".*")), left
    assert_same_to_the_bit(tmp_path / "run", undisturbed(1)[0])


def test_one_of_two_killed_ends_the_other_with_one_line(inputs, undisturbed, tmp_path):
    run = Run(inputs, tmp_path / "run", processes=2)
    moment = random.randint(3, 7)
    run.until(lambda: run.done() >= moment)
    run.signal(signal.SIGKILL, ranks=[1])
    assert run.wait() == [1, -signal.SIGKILL]
    lines = [line for line in run.said().splitlines() if line.startswith("pretrain: ")]
    assert len(lines) == 1
    assert "rank 0: another rank is gone" in lines[0]
    assert "Traceback" not in run.said()
    Run(inputs, tmp_path / "run", "--resume", processes=2).ends_well()
    assert_same_to_the_bit(tmp_path / "run", undisturbed(2)[0])


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_ten_random_moments_each(inputs, undisturbed, tmp_path, processes):
    """20 in all; a training that gets to its end before its kill is compared and begun anew."""
    whole, seconds = undisturbed(processes)
    kills, number = 0, 0
    while kills < 10:
        work = tmp_path / f"run{number}"
        run = Run(inputs, work, "--resume", processes=processes)
        moment = time.monotonic() + random.uniform(0, seconds)
        run.until(lambda end=moment: time.monotonic() > end)
        if any(p.is_alive() for p in run.processes):
            run.kill()
            kills += 1
        else:
            run.ends_well()
            assert_same_to_the_bit(work, whole)
            shutil.rmtree(work)
            number += 1
    Run(inputs, work, "--resume", processes=processes).ends_well()
    assert_same_to_the_bit(work, whole)


@pytest.mark.parametrize("signum", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(inputs, undisturbed, tmp_path, signum):
    processes = 2 if signum == signal.SIGTERM else 1
    run = Run(inputs, tmp_path / "run", processes=processes, options=["run.checkpoint_every=100"])
    run.until(lambda: run.done() >= 3)
    run.signal(signum, ranks=[processes - 1])  # one of them hears it, all stop after the same iteration
    assert run.wait() == [128 + signum] * processes
    (saved,) = find_checkpoints(tmp_path / "run" / "checkpoints")
    done = torch.load(saved, weights_only=True)["meta"]["iter"]
    assert f"pretrain: interrupted; saved after iteration {done}, go on with --resume" in run.said().splitlines()
    assert done == run.done() < runs.ITERATIONS
    Run(inputs, tmp_path / "run", "--resume", processes=processes, options=["run.checkpoint_every=100"]).ends_well()
    assert_same_to_the_bit(tmp_path / "run", undisturbed(processes)[0])


def test_the_last_and_the_best_checkpoints_stay(undisturbed):
    folder = undisturbed(1)[0] / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == [BEST, "iteration_00000006.pth", "iteration_00000009.pth"]
    best = torch.load(folder / BEST, weights_only=True)
    newest = torch.load(find_checkpoints(folder)[-1], weights_only=True)
    assert best["meta"]["iter"] == best["best"]["iteration"] == newest["best"]["iteration"]
