"""The benchmark of the loader: both kinds of step on the same model, either way of the colour work. No time decides."""

import json

import pytest

from benchmarks import feeding


@pytest.mark.slow
def test_the_ratio_is_that_of_its_rounds():
    lines = []
    figures = feeding.measure_feeding(feeding.Feeding.quick(), lines.append)
    assert lines == ["training: round 1 of 2", "training: round 2 of 2"]
    for name in ("ratio", "pure", "training"):
        assert figures[name]["n"] == 2
        assert 0 < figures[name]["low"] <= figures[name]["median"] <= figures[name]["high"]
    lowest, highest = (figures["training"][k] / figures["pure"][m] for k, m in (("low", "high"), ("high", "low")))
    assert lowest <= figures["ratio"]["median"] <= highest
    assert json.loads(json.dumps(figures))["workers"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["loader", "device"])
def test_a_tiny_training(tmp_path, capsys, colour):
    assert feeding.main(["--quick", "--colour", colour, "--json", str(tmp_path / "out.json")]) == 0
    figures = json.loads((tmp_path / "out.json").read_text())["training"]
    assert figures["colour"] == colour
    assert figures["ratio"]["median"] > 0
    assert f"colour by the {colour}" in capsys.readouterr().out


def test_the_case_says_what_is_trained():
    text = str(feeding.Feeding(arch="resnet50", view=224, precision="bf16", colour="device"))
    assert text.startswith("simclr, resnet50, bf16, n = 64")
    assert text.endswith("colour by the device")
