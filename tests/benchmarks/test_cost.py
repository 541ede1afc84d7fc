"""The table of the meta step's cost: every figure is over the plain step's own. No time decides anything."""

import pytest
import torch

from benchmarks import cost
from benchmarks.modes import MODES, QUICK, Mode

CPU = torch.device("cpu")
INLINE = next(mode for mode in MODES if mode.name == "feature difference, inline")


@pytest.mark.slow
def test_time_and_memory_are_over_those_of_the_plain_step(monkeypatch):
    monkeypatch.setattr(cost, "MODES", (cost.PLAIN, INLINE))
    lines = []
    figures = cost.measure(QUICK[0], 2, CPU, lines.append)
    plain, inline = figures["rows"]
    assert plain["memory"] == pytest.approx(1)
    assert inline["memory"] > 1  # the upper level comes on top
    assert (inline["mode"], inline["target"], inline["memory_target"]) == (INLINE.name, 2.45, cost.MEMORY_TARGET)
    assert inline["time"]["n"] == inline["cpu_time"]["n"] == figures["plain"]["seconds"]["n"] == 2
    assert figures["plain"]["peak_bytes"] > 10 * 2**20  # a ResNet-18's weights alone are more
    assert (figures["arch"], figures["n"]) == ("resnet18", 4)
    assert lines[-1].endswith(f"memory of {INLINE.name}")


def test_a_mode_that_works_every_fourth_time_is_divided_by_four(monkeypatch):
    every = Mode("every 4", 1.65, {"every": 4})
    monkeypatch.setattr(cost, "MODES", (every,))

    def one_second_an_iteration(works, rounds, device, progress):
        steps = {name: [float(work.args[1])] * rounds for name, work in works.items()}
        return steps, steps

    monkeypatch.setattr(cost, "in_turn", one_second_an_iteration)
    wall, cpu = cost._times(QUICK[0], 3, CPU, print)
    assert wall == cpu == {"plain step": [1.0] * 3, "every 4": [1.0] * 3}
