import pytest
import torch

from transfer.checkpoints import completeness
from transfer.errors import CheckpointError

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


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.bool, torch.int8])
def test_numbers_that_no_network_is_trained_in(dtype):
    result = completeness.compare({"b.bias": torch.ones(1).to(dtype)}, EXPECTED)
    assert str(dtype).removeprefix("torch.") in result.values["b.bias"]


def test_doubles_beyond_single_precision():
    result = completeness.compare({"b.bias": torch.tensor([1e300], dtype=torch.float64)}, EXPECTED)
    assert result.values == {"b.bias": "values beyond float32"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_of_a_diverged_training_are_not_written(value):
    state = _state()
    completeness.check_finite(state, "x.pth")
    state["b.bias"][0] = value
    with pytest.raises(CheckpointError, match=r"x\.pth is not written.*1 of 3 tensors \(b\.bias\)"):
        completeness.check_finite(state, "x.pth")
