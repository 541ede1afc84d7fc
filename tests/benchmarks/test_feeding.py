"""The benchmark of the loader: a tiny training, with either way of the colour work."""

import json

import pytest

from benchmarks import feeding


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["loader", "device"])
def test_a_tiny_training(tmp_path, capsys, colour):
    assert feeding.main(["--quick", "--colour", colour, "--json", str(tmp_path / "out.json")]) == 0
    figures = json.loads((tmp_path / "out.json").read_text())["training"]
    assert figures["colour"] == colour
    assert figures["ratio"]["median"] > 0
    assert f"colour by the {colour}" in capsys.readouterr().out


def test_what_is_trained_is_told():
    told = str(feeding.Feeding(arch="resnet50", view=224, precision="bf16", colour="device"))
    assert told.startswith("simclr, resnet50, bf16, n = 64")
    assert told.endswith("colour by the device")
