"""Works are timed in turn, and compared within each round."""

import torch

from benchmarks import timing

CPU = torch.device("cpu")


def test_works_are_timed_in_turn_and_the_first_round_is_left_out():
    calls, lines = [], []
    wall, cpu = timing.in_turn({k: lambda k=k: calls.append(k) for k in "ab"}, 3, CPU, lines.append)
    assert calls == list("abababab")
    assert lines[-1] == "round 3 of 3"
    for seconds in (wall, cpu):
        assert {k: len(v) for k, v in seconds.items()} == {"a": 3, "b": 3}


def test_the_ratio_is_taken_within_each_round():
    """A machine that is three times slower in its second round changes nothing."""
    assert timing.ratios([2.0, 6.0, 4.0], [1.0, 3.0, 1.0]) == {"median": 2.0, "low": 2.0, "high": 3.0, "n": 3}
    assert timing.spread([5.0]) == {"median": 5.0, "low": 5.0, "high": 5.0, "n": 1}
