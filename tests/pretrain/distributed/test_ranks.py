"""Two processes are one process on the same global batch: every method, every number that a step makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pretrain.method.methods import METHODS
from tests.cases.rank_cases import CASES, FEW, STEPS, overflow_of, steps_of
from tests.cases.runs import free_port

ROOT = Path(__file__).parents[3]
WORLD = 2
META_STEPS = {"plain sum": FEW // 2}  # every second step has one


def no_upper_level(case):
    return METHODS[CASES[case][0]].base is None or case == "single level"


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """What each of two processes found."""
    out = tmp_path_factory.mktemp("ranks") / "found"
    meeting = {"WORLD_SIZE": str(WORLD), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.cases.rank_cases", str(out)],
            env={**os.environ, **meeting, "RANK": str(k), "LOCAL_RANK": str(k)},
            cwd=ROOT,
        )
        for k in range(WORLD)
    ]
    assert [process.wait(timeout=900) for process in started] == [0] * WORLD
    return [torch.load(f"{out}.{k}", weights_only=True) for k in range(WORLD)]


def error(values, expected):
    """||found - expected|| / ||expected||."""
    values, expected = (torch.cat([t.double().flatten() for t in x]) for x in (values, expected))
    return float((values - expected).norm() / expected.norm().clamp_min(1e-300))


@pytest.mark.parametrize("case", CASES)
def test_steps_equal_those_of_one_process(apart, case):
    """Losses, gradients, both parts of each hypergradient, weights and running statistics, in float64."""
    steps = STEPS if case in METHODS else FEW
    whole = steps_of(case, steps=steps)
    for rank in (a[case] for a in apart):
        assert len(rank["gradients"]) == len(whole["gradients"]) == len(whole["logs"]) == steps
        for a, b in zip(rank["gradients"], whole["gradients"], strict=True):
            assert error(a, b) <= 1e-8
        assert len(rank["upper"]) == len(whole["upper"]) == META_STEPS.get(case, 0 if no_upper_level(case) else steps)
        for a, b in zip(rank["upper"], whole["upper"], strict=True):
            for name, (direct, second) in b.items():
                both = torch.stack([direct, second])
                assert float((torch.stack(a[name]) - both).norm()) <= 1e-8 * float(both.norm())
        assert error(rank["state"].values(), whole["state"].values()) <= 1e-8
    for a, b in zip(apart[0][case]["logs"], whole["logs"], strict=True):
        assert a.keys() == b.keys()
        for name in b:
            assert float(a[name]) == pytest.approx(float(b[name]), rel=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_all_ranks_hold_the_same_weights_to_the_bit(apart, case):
    states = [a[case]["state"] for a in apart]
    assert all(torch.equal(states[0][k], v) for k, v in states[1].items())


def test_an_overflow_on_one_rank_is_one_on_all(apart):
    """float16: the iteration is left out everywhere, and the ranks go on with one scale and the same weights."""
    steps = list(zip(*(a["overflow"] for a in apart), strict=True))
    for (log, weights), (other_log, other_weights) in steps:
        for name in ("loss", "loss_scale", "skipped_steps"):
            assert torch.equal(log[name], other_log[name])
        assert all(torch.equal(a, b) for a, b in zip(weights, other_weights, strict=True))
    logs, weights = zip(*(step[0] for step in steps), strict=True)
    assert [float(log["skipped_steps"]) for log in logs] == [0, 1, 1]
    assert [float(log["loss_scale"]) for log in logs] == [16, 8, 8]
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(weights[1], weights[2], strict=True))
    assert ["mask_direct" in log for log in logs] == [True, False, True]
    (alone, _), *_ = overflow_of(rank=None)
    for name in ("loss", "redundancy", "contrastive", "mcr"):
        assert float(logs[0][name]) == pytest.approx(float(alone[name]), rel=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_the_first_losses_in_float32(apart, method):
    (whole,) = steps_of(method, torch.float32, steps=1)["logs"]
    (log,) = apart[0][f"{method} float32"]["logs"]
    for name in {"loss", "redundancy", "contrastive", "bootstrap", "dense", "mcr"} & whole.keys():
        assert float(log[name]) == pytest.approx(float(whole[name]), rel=1e-5)
