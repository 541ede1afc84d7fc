"""What is written and warned of around the iterations."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch

from pretrain.errors import InputError
from pretrain.training.hooks import Guard, UnreadableImages, clock
from tests.cases.runs import arguments

WIDTH = 100  # of features whose healthy spread is 0.1


def test_unreadable_images_are_counted_once_and_stop_the_run():
    counter = UnreadableImages(100, max_share=0.02)
    assert counter.add(["a", "b", "a"]) == ["a", "b"]
    assert counter.add(["b"]) == []
    with pytest.raises(InputError, match=r"at most 2% of 100, found 3"):
        counter.add(["c"])


def looked_at(spreads, folder, iterations=1000):
    """A guard that saw these spreads of the features, one an iteration."""
    guard = Guard(UnreadableImages(10, 0.5), WIDTH, folder)
    runner = SimpleNamespace(max_iters=iterations, model=SimpleNamespace(loss_scale=None))
    for k, spread in enumerate(spreads):
        outputs = {"loss": torch.tensor(1.0), "feature_std": torch.tensor(spread)}
        guard.after_train_iter(runner, k, {"unreadable": [], "paths": []}, outputs)
    return guard


def test_a_collapse_is_warned_of_once_after_ten_iterations_in_a_row(tmp_path, caplog):
    looked_at([0.1, *[0.001] * 9], tmp_path)
    assert "collapsing" not in caplog.text
    looked_at([0.1, *[0.001] * 30], tmp_path)
    assert caplog.text.count("collapsing") == 1
    assert "std of the normalised rows 0.001, healthy about 0.1, at iteration 11" in caplog.text


def test_a_few_batches_of_like_images_are_no_collapse(tmp_path, caplog):
    looked_at([*[0.001] * 9, 0.09, *[0.001] * 9], tmp_path)
    assert "collapsing" not in caplog.text


def test_a_run_shorter_than_that_is_warned_too(tmp_path, caplog):
    looked_at([0.001] * 4, tmp_path, iterations=4)
    assert "collapsing" in caplog.text


@pytest.mark.parametrize("every", [1, 4])
def test_every_line_has_the_upper_levels_last_values(inputs, tmp_path, every):
    from pretrain.__main__ import main

    options = ["method=metamask", f"meta.every={every}", "meta.start=1", "run.log_every=10"]
    options += ["schedule.iterations=8", "run.checkpoint_every=100", "run.keep=1"]
    assert main(arguments(inputs, tmp_path / "run", options=options)) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(1, 9))
    values = [line.get("mask_second_order") for line in lines]
    assert values[0] is None  # nothing has moved yet
    assert all(value is not None for value in values[1:])
    steps = [k for k in range(1, 8) if values[k] != values[k - 1]]
    assert steps == list(range(1, 8, every))
    assert all("effective_rank" in line for line in lines)


@pytest.mark.parametrize(("seconds", "words"), [(0, "0:00"), (59.6, "1:00"), (3723, "1:02:03")])
def test_times_are_short(seconds, words):
    assert clock(seconds) == words


def test_nothing_is_logged_below_a_warning_by_the_guard(tmp_path, caplog):
    caplog.set_level(logging.INFO, "pretrain")
    looked_at([0.1] * 20, tmp_path)
    assert caplog.text == ""
