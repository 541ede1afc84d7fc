import pytest

from transfer.drawing.axes import Scale


@pytest.mark.parametrize("values", [(0, 7.3), (-3.2, 41), (0.69314, 0.69315), (5, 5), (0, 0), (1e-4, 3e4)])
def test_axes_hold_all_values_and_their_ticks_differ(values):
    scale = Scale.around(values)
    assert scale.low - 1e-12 <= min(values) <= max(values) <= scale.high + 1e-12
    assert len(set(scale.texts)) == len(scale.texts) >= 2
    steps = {round(b - a, 9) for a, b in zip(scale.ticks, scale.ticks[1:], strict=False)}
    assert len(steps) == 1


@pytest.mark.parametrize(("values", "least"), [((0.6931468, 0.6931473), 0.014), ((20.1, 20.4), 1.0), ((3, 3), 2.0)])
def test_an_axis_does_not_magnify_a_change_that_means_nothing(values, least):
    scale = Scale.around(values, least=least)
    assert scale.high - scale.low >= least * (1 - 1e-9)
    assert scale.low <= min(values) <= max(values) <= scale.high


def test_what_cannot_be_negative_does_not_seem_so():
    assert Scale.around((0.01, 0.02), least=1.0).low == 0
    assert Scale.around((-0.01, 0.02), least=1.0).low < 0
