"""The ways of the meta step, the cases they are timed at, and the model that trains in one of them."""

import argparse

import pytest
import torch

from benchmarks import modes
from benchmarks.modes import MODES, ON_GPU, PLAIN, QUICK, Case, Trainee, parse_case, random_views

CPU = torch.device("cpu")
TINY = QUICK[0]
BY_NAME = {mode.name: mode for mode in MODES}


@pytest.mark.parametrize(
    ("text", "case"),
    [
        ("resnet18:64:32", Case("resnet18", 64, 32)),
        ("resnet50:224:64:bf16", Case("resnet50", 224, 64, "bf16")),
    ],
)
def test_a_case_is_read_from_the_command_line(text, case):
    assert parse_case(text) == case


@pytest.mark.parametrize("text", ["resnet18", "resnet18:64", "resnet18:64:many", "resnet18:a:b:c"])
def test_what_is_no_case_says_what_one_is(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected ARCH:SIZE:N or ARCH:SIZE:N:bf16, found"):
        parse_case(text)


def arguments(*words):
    parser = argparse.ArgumentParser()
    modes.add_case_arguments(parser, "resnet18:64:32")
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args(words)


def test_named_cases_win_then_quick_then_those_of_the_device():
    on_cpu = (Case("resnet34", 64, 8),)
    assert modes.chosen(arguments("--device", "cpu"), on_cpu) == (CPU, on_cpu)
    assert modes.chosen(arguments("--device", "cuda"), on_cpu)[1] == ON_GPU
    assert modes.chosen(arguments("--device", "cuda", "--quick"), on_cpu)[1] == QUICK
    named = arguments("--quick", "--case", "resnet18:32:4", "--case", "resnet18:64:4")
    assert modes.chosen(named, on_cpu)[1] == [Case("resnet18", 32, 4), Case("resnet18", 64, 4)]


def test_each_mode_is_a_setting_of_the_method():
    """No two ways are one way under two names."""
    sections = [str(TINY.settings(mode, 1e-3).meta) for mode in MODES]
    assert len(set(sections)) == len(MODES)
    assert [mode.cycle for mode in MODES] == [1, 1, 1, 1, 4]


def test_a_batch_is_that_of_training():
    views = random_views(TINY, CPU)["views"]
    assert (views.shape, views.dtype) == ((2, TINY.n, 3, TINY.size, TINY.size), torch.uint8)
    assert views[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(views, random_views(TINY, CPU)["views"])


def moved(mode, names):
    """Which of the named parameters a step in this mode changes."""
    trainee = Trainee(TINY, mode, CPU)
    before = {name: value.clone() for name, value in trainee.model.named_parameters()}
    trainee.steps(random_views(TINY, CPU))
    after = dict(trainee.model.named_parameters())
    return {name for name in names if not torch.equal(before[name], after[name])}


def test_the_plain_step_never_moves_the_upper_level_and_the_others_do():
    names = [name for name, _ in Trainee(TINY, PLAIN, CPU).model.named_parameters()]
    upper = [name for name in names if "mask" in name or "fusion" in name]
    assert upper
    assert moved(PLAIN, [*upper, "backbone.conv1.weight"]) == {"backbone.conv1.weight"}
    assert moved(BY_NAME["feature difference, inline"], upper) == set(upper)


def test_the_learning_rate_is_a_share_of_its_peak():
    trainee = Trainee(TINY, PLAIN, CPU, lr=0.5)
    rates = {name: trainee.optimizers[name].get_lr()["lr"] for name in trainee.optimizers.keys()}  # noqa: SIM118
    for factor in (0.1, 0.5, 0.1):
        trainee.set_lr(factor)
        for name, peak in rates.items():
            assert trainee.optimizers[name].get_lr()["lr"] == [pytest.approx(factor * rate) for rate in peak]
