import math

import pytest

from transfer.errors import InputError
from transfer.finetuning import lr_range_test

LRS = [1e-4 * 1.1**i for i in range(80)]


def valley(lr):
    """A loss that falls until 0.02 and rises after it."""
    return 2 + abs(math.log10(lr / 0.02))


def test_a_fourth_of_the_rate_of_the_least_loss():
    choice = lr_range_test.choose(LRS, [valley(lr) for lr in LRS])
    least = LRS[min(range(80), key=choice.smoothed.__getitem__)]
    assert 0.02 <= least < 0.08  # the running mean lags behind
    assert choice.lr == lr_range_test.round_down(least / 4)
    assert choice.lr in (0.005, 0.01)


def test_a_test_that_ends_in_infinity_goes_by_what_was_before():
    losses = [5 - 0.02 * i for i in range(60)] + [math.inf] * 20
    choice = lr_range_test.choose(LRS, losses)
    assert choice.lr == lr_range_test.round_down(LRS[59] / 4)
    assert f"was not finite any more at {LRS[60]:.2g}" in choice.why
    assert len(choice.losses) == 61


def test_no_finite_loss_at_all():
    with pytest.raises(InputError, match="--lr auto: expected losses that are finite"):
        lr_range_test.choose(LRS, [math.nan] * 80)


@pytest.mark.parametrize(("value", "expected"), [(0.0199, 0.01), (0.02, 0.02), (0.07, 0.05), (1e-5, 1e-5), (9, 5)])
def test_rounded_down_to_1_2_or_5(value, expected):
    assert lr_range_test.round_down(value) == expected


def test_a_constant_stays_itself_when_smoothed():
    assert lr_range_test.smooth([3.0] * 5) == pytest.approx([3.0] * 5)
