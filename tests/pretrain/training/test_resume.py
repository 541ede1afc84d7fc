"""Killed anywhere and resumed: to the bit the weights, momenta and losses of the run that nobody killed."""

import random
import shutil
import signal
import time

import pytest
import torch

from pretrain.training.checkpoint_files import BEST, find_checkpoints
from tests.cases import runs
from tests.cases.runs import Run, assert_same_to_the_bit

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")

SEED = 20  # of the moments of all kills
MOMENTS = ("training", "writing", "any time")


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory):
    """processes -> the work folder of a run, and the seconds until its first and last iteration and its end."""
    content = {}

    def get(processes):
        if processes not in content:
            work = tmp_path_factory.mktemp("undisturbed") / f"run{processes}"
            run = Run(inputs, work, processes=processes)
            run.until(run.log.exists)  # the first one waits for the fork server
            began, seconds = time.monotonic(), []
            for count in (1, runs.ITERATIONS):
                run.until(lambda run=run, count=count: run.done() >= count)
                seconds.append(time.monotonic() - began)
            run.ends_well()
            content[processes] = work, [*seconds, time.monotonic() - began]
        return content[processes]

    return get


@pytest.fixture
def draw():
    """Random numbers; what is drawn is printed, and seen where a test fails."""
    print(f"seed {SEED}")
    return random.Random(SEED)


def test_killed_in_the_middle_of_an_epoch(inputs, undisturbed, tmp_path, draw):
    run = Run(inputs, tmp_path / "run")
    moment, later = draw.randint(3, 7), draw.uniform(0, 0.2)
    print(f"{later:.3f} s after iteration {moment}")
    run.until(lambda: run.done() >= moment)
    time.sleep(later)
    run.kill()
    again = Run(inputs, tmp_path / "run", "--resume").ends_well()
    assert "resuming from" in again.logs()
    assert_same_to_the_bit(tmp_path / "run", undisturbed(1)[0])


def test_killed_while_a_checkpoint_is_being_written(inputs, undisturbed, tmp_path, draw):
    run = Run(inputs, tmp_path / "run")
    moment = draw.randint(2, 7)
    print(f"writing after iteration {moment}")
    run.until(lambda: run.done() >= moment and run.writing())
    run.kill()
    left = [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()]
    Run(inputs, tmp_path / "run", "--resume").ends_well()
    assert not list((tmp_path / "run" / "checkpoints").glob(".*")), left
    assert_same_to_the_bit(tmp_path / "run", undisturbed(1)[0])


def test_one_of_two_killed_ends_the_other_with_one_line(inputs, undisturbed, tmp_path, draw):
    run = Run(inputs, tmp_path / "run", processes=2)
    moment = draw.randint(3, 7)
    print(f"after iteration {moment}")
    run.until(lambda: run.done() >= moment)
    run.signal(signal.SIGKILL, ranks=[1])
    assert run.wait() == [1, -signal.SIGKILL]
    lines = [line for line in run.logs().splitlines() if line.startswith("pretrain: ")]
    assert len(lines) == 1
    assert "rank 0: another rank is gone" in lines[0]
    assert "Traceback" not in run.logs()
    Run(inputs, tmp_path / "run", "--resume", processes=2).ends_well()
    assert_same_to_the_bit(tmp_path / "run", undisturbed(2)[0])


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "kills"), [(1, 12), (2, 8)])
def test_killed_again_and_again(inputs, undisturbed, tmp_path, draw, processes, kills):
    """20 kills in all. A training that gets to its end before its kill is compared and begun anew."""
    whole, seconds = undisturbed(processes)
    killed = torn = number = 0
    while killed < kills:
        work = tmp_path / f"run{number}"
        run = Run(inputs, work, "--resume", processes=processes)
        if killed_at_random(run, draw, seconds, MOMENTS[killed % 3]):
            killed, torn = killed + 1, torn + run.writing()
        else:
            run.ends_well()
            assert_same_to_the_bit(work, whole)
            shutil.rmtree(work)
            number += 1
    assert torn
    Run(inputs, work, "--resume", processes=processes).ends_well()
    assert_same_to_the_bit(work, whole)


def killed_at_random(run, draw, seconds, moment):
    """Whether the run was still there to be killed."""
    first, last, end = seconds
    wait = draw.uniform(*{"training": (first, last), "writing": (0, 0.03), "any time": (0, end)}[moment])
    if moment == "writing":
        run.until(run.writing)
    due = time.monotonic() + wait
    run.until(lambda: time.monotonic() > due)
    killed = -signal.SIGKILL in run.kill()
    print(f"{moment}, {wait:.3f} s, after iteration {run.done()}: {killed=}")
    return killed


@pytest.mark.parametrize("signum", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(inputs, undisturbed, tmp_path, signum):
    processes = 2 if signum == signal.SIGTERM else 1
    run = Run(inputs, tmp_path / "run", processes=processes, options=["run.checkpoint_every=100"])
    run.until(lambda: run.done() >= 3)
    run.signal(signum, ranks=[processes - 1])  # one of them hears it, all stop after the same iteration
    assert run.wait() == [128 + signum] * processes
    (saved,) = find_checkpoints(tmp_path / "run" / "checkpoints")
    done = torch.load(saved, weights_only=True)["meta"]["iter"]
    assert f"pretrain: interrupted; saved after iteration {done}, go on with --resume" in run.logs().splitlines()
    assert done == run.done() < runs.ITERATIONS
    Run(inputs, tmp_path / "run", "--resume", processes=processes, options=["run.checkpoint_every=100"]).ends_well()
    assert_same_to_the_bit(tmp_path / "run", undisturbed(processes)[0])


def test_the_last_and_the_best_checkpoints_stay(undisturbed):
    folder = undisturbed(1)[0] / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == [BEST, "iteration_00000006.pth", "iteration_00000009.pth"]
    best = torch.load(folder / BEST, weights_only=True)
    newest = torch.load(find_checkpoints(folder)[-1], weights_only=True)
    assert best["meta"]["iter"] == best["best"]["iteration"] == newest["best"]["iteration"]
