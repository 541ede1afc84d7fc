"""The mask beside the weights: read in order, and taken only where both are of one training."""

import json

import pytest

from pretrain.errors import InputError
from pretrain.mask_file import FILE, final_mask, read_snapshots


def test_a_run_without_a_mask_has_none(tmp_path):
    assert read_snapshots(tmp_path / FILE) == {}


def test_iterations_are_in_their_order_as_numbers(tmp_path):
    (tmp_path / FILE).write_text('{"0": [0.5], "9": [0.4], "10": [0.3]}')
    assert list(read_snapshots(tmp_path / FILE)) == [0, 9, 10]
    assert final_mask(tmp_path / "b.safetensors", 10, 1) == [0.3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected mask.json beside .*b.safetensors, found none"),
        ("{}", "expected mask.json beside"),
        ("[", "something else"),
        ("[1, 2]", "something else"),
        ('{"x": [1, 2]}', "something else"),
        ('{"0": [0.5, 0.5], "9": [0.5, 0.5]}', "at iteration 10, where .* found 9"),
        ('{"10": [0.5]}', "expected 2 numbers"),
        ('{"10": [0.5, NaN]}', "expected 2 numbers"),
        ('{"10": [0.5, "1"]}', "expected 2 numbers"),
        ('{"10": 0.5}', "expected 2 numbers"),
    ],
)
def test_what_is_not_the_mask_of_these_weights_is_one_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=message) as error:
        final_mask(tmp_path / "b.safetensors", 10, 2)
    assert "\n" not in str(error.value)


def test_it_is_the_last_mask_of_a_training_that_is_taken(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({0: [0.5, 0.5], 10: [0.25, 0.75]}))
    assert final_mask(tmp_path / "b.safetensors", 10, 2) == [0.25, 0.75]
