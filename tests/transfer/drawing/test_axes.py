import pytest

from transfer.drawing.axes import Scale


@pytest.mark.parametrize("values", [(0, 7.3), (-3.2, 41), (0.69314, 0.69315), (5, 5), (0, 0), (1e-4, 3e4)])
def test_axes_hold_all_values_and_their_ticks_differ(values):
    scale = Scale.around(values)
    assert scale.low - 1e-12 <= min(values) <= max(values) <= scale.high + 1e-12
    assert len(set(scale.texts)) == len(scale.texts) >= 2
    steps = {round(b - a, 9) for a, b in zip(scale.ticks, scale.ticks[1:], strict=False)}
    assert len(steps) == 1
