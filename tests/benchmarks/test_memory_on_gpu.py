"""What is counted without a GPU is what a CPU allocates for the same step."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import memory_on_gpu as benchmark
from benchmarks.memory_on_gpu import DEVICE, Alive
from benchmarks.modes import MODES, PLAIN, QUICK


def test_storages_count_once_and_as_long_as_they_live():
    with Alive() as alive:
        a = torch.empty(1000, device=DEVICE)
        b = a.view(10, 100)
        assert alive.now == 4096  # whole blocks
        c = b + 1
        assert alive.now == 8192
        del a, c
        assert (alive.now, alive.peak) == (4096, 8192)
        del b
        assert alive.now == 0


def test_what_autograd_keeps_is_counted():
    with Alive() as alive:
        x = torch.empty(1024, device=DEVICE, requires_grad=True)
        y = x.exp().sin()
        assert alive.now == 3 * 4096  # sine's backward pass needs the exponential
        del y
        assert alive.now == 4096


def test_16_bits_need_less_and_the_meta_step_more_than_the_plain_one():
    (case,) = QUICK
    plain, post = (benchmark.peak(case, mode) for mode in (PLAIN, MODES[2]))
    assert plain < post

    large = replace(case, size=128, n=64, head=256)  # activations outweigh the 16-bit copies of the weights
    assert benchmark.peak(replace(large, precision="bf16"), PLAIN) < benchmark.peak(large, PLAIN)


@pytest.mark.slow
def test_the_table_is_complete(tmp_path, capsys):
    assert benchmark.main(["--quick", "--memory", "0.5", "--json", str(tmp_path / "out.json")]) == 0
    (case,) = json.loads((tmp_path / "out.json").read_text())["cases"]
    assert [row["mode"] for row in case["rows"]] == [mode.name for mode in (PLAIN, *MODES)]
    assert all(row["gib"] > 0 and row["largest_n"] > 0 for row in case["rows"])
    assert "largest n" in capsys.readouterr().out


@pytest.mark.slow
def test_the_count_is_the_profilers():
    from benchmarks.cost import _peak

    (case,) = QUICK
    measured = _peak(case, PLAIN, torch.device("cpu"))
    assert benchmark.peak(case, PLAIN) == pytest.approx(measured, rel=0.15)
