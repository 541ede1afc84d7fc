"""The benchmark of the loader measures both kinds of step on the same model. No time decides anything."""

import json

import pytest

from benchmarks.feeding import Feeding, measure_feeding


@pytest.mark.slow
def test_the_ratio_is_that_of_its_rounds():
    lines = []
    figures = measure_feeding(Feeding.quick(), lines.append)
    assert lines == ["training: round 1 of 2", "training: round 2 of 2"]
    for name in ("ratio", "pure", "training"):
        assert figures[name]["n"] == 2
        assert 0 < figures[name]["low"] <= figures[name]["median"] <= figures[name]["high"]
    lowest, highest = (figures["training"][k] / figures["pure"][m] for k, m in (("low", "high"), ("high", "low")))
    assert lowest <= figures["ratio"]["median"] <= highest
    assert json.loads(json.dumps(figures))["workers"] == 1


def test_the_case_says_what_was_measured():
    text = str(Feeding(arch="resnet50", batch=8, jpeg="2 MP", view=224, workers=3))
    assert text == "simclr, resnet50, n = 8, 2 MP JPEGs to 224 px views, 3 loaders"
