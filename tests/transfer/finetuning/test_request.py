"""What is asked of a run: numbers out of their range are named by their flag."""

import pytest

from transfer.errors import InputError
from transfer.finetuning.request import LARGEST_SEED, Request


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"seed": -1}, f"--seed: expected 0 to {LARGEST_SEED}, found -1; correct it"),
        ({"labels_seed": LARGEST_SEED + 1}, f"--labels-seed: expected 0 to {LARGEST_SEED}, found {LARGEST_SEED + 1}"),
        ({"lr": 0.0}, "--lr: expected a number above 0, found 0.0"),
        ({"lr": float("inf")}, "--lr: expected a number above 0, found inf"),
        ({"lr": "fast"}, "--lr: expected a number above 0, found fast"),
        ({"schedule_scale": -1.0}, "--schedule-scale: expected a number above 0, found -1.0"),
        ({"num_gpus": 0}, "--num-gpus: expected at least 1, found 0"),
        ({"lr_scale": "images"}, "--lr-scale: expected batch, found images"),
        ({"machine_rank": 1}, "--machine-rank: expected 0 to 0 (--num-machines), found 1"),
        (
            {"num_machines": 2},
            "--dist-url: expected the first machine's tcp://host:port with --num-machines",
        ),
    ],
)
def test_a_number_out_of_its_range(fields, line):
    with pytest.raises(InputError) as raised:
        Request("config", **fields)
    assert str(raised.value).startswith(line)


def test_what_is_at_the_ends_of_the_ranges():
    request = Request("config", seed=LARGEST_SEED, labels_seed=0, lr="auto", schedule_scale=1e-3, lr_scale="batch")
    assert (request.seed, request.lr) == (LARGEST_SEED, "auto")
    assert Request("config", num_machines=2, machine_rank=1, dist_url="tcp://a:1").machine_rank == 1
