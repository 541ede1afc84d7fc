"""The benchmark of conversion goes there and back, proves both, and holds its limit. No time decides anything."""

import json

import pytest

from benchmarks import convert as benchmark


@pytest.fixture
def two_targets(monkeypatch):
    """Two of the four frameworks are enough to see both directions."""
    monkeypatch.setattr(benchmark, "TARGETS", ("torchvision", "mmdet"))


@pytest.mark.usefixtures("two_targets")
def test_every_direction_has_a_time_and_the_total_is_their_sum():
    figures = benchmark.measure("resnet18")
    assert list(figures["seconds"]) == ["to torchvision", "back from torchvision", "to mmdet", "back from mmdet"]
    assert figures["total_s"] == pytest.approx(sum(figures["seconds"].values()), abs=0.01)
    assert 0 <= figures["largest_relative_error"] < 1e-5


@pytest.mark.parametrize(("seconds", "code"), [(20.0, 0), (20.01, 1)])
def test_the_exit_code_says_whether_the_limit_holds(monkeypatch, tmp_path, capsys, seconds, code):
    monkeypatch.setattr(benchmark, "measure", lambda arch: {"arch": arch, "total_s": seconds})
    assert benchmark.main(["--arch", "resnet34", "--json", str(tmp_path / "f.json")]) == code
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures == json.loads(capsys.readouterr().out) == {"arch": "resnet34", "total_s": seconds}


@pytest.mark.usefixtures("two_targets")
def test_a_tensor_that_does_not_come_back_stops_it(monkeypatch):
    """It measures nothing that it has not compared."""
    honest = benchmark.read

    def altered(path, *args, **kwargs):
        source = honest(path, *args, **kwargs)
        if path.name.endswith("-back.pth"):
            source.state["conv1.weight"] = source.state["conv1.weight"] + 1
        return source

    monkeypatch.setattr(benchmark, "read", altered)
    with pytest.raises(AssertionError, match="torchvision and back is not bit-identical"):
        benchmark.measure("resnet18")
