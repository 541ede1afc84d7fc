import torch

from transfer.checkpoints import completeness

EXPECTED = {"a.weight": (2, 3), "a.running_var": (2,), "b.bias": (1,)}


def _state():
    return {"a.weight": torch.ones(2, 3), "a.running_var": torch.zeros(2), "b.bias": torch.full((1,), -3.0)}


def test_a_sound_state_has_no_problems():
    result = completeness.compare(_state(), EXPECTED)
    assert (result.found, result.expected, result.problems(), result.dtypes) == (3, 3, [], {})


def test_every_kind_is_told_at_once():
    state = _state()
    state["c"] = state.pop("b.bias")
    state["a.weight"] = torch.ones(3, 2)
    state["a.running_var"][1] = -1
    result = completeness.compare(state, EXPECTED)
    assert result.missing == ["b.bias"]
    assert result.unexpected == ["c"]
    assert result.misshapen == {"a.weight": ((2, 3), (3, 2))}
    assert "variance below zero" in result.values["a.running_var"]
    assert len(result.problems()) == 4


def test_long_lists_are_cut_and_counted():
    assert completeness.listed("abcde") == "a, b, c, and 2 more"
    assert completeness.listed([]) == ""
