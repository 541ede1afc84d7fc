"""The example, in small: two runs of two iterations."""

import importlib.util
import json
from pathlib import Path

import pytest

import transfer
from tests.cases.checkpoints import backbone, network, save_own
from tests.cases.finetuning import TINY

FILE = Path(__file__).parents[2] / "examples/compare_two_backbones.py"
# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("compare_two_backbones", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("one_thread")
def test_two_backbones_become_a_report_and_a_second_start_trains_nothing_again(example, data, tmp_path, monkeypatch):
    backbones = {
        name: save_own(tmp_path / f"{name}.safetensors", backbone(network(seed=seed)))
        for name, seed in (("theirs", 0), ("ours", 1))
    }
    settings = dict(zip(TINY[::2], TINY[1::2], strict=True)) | {"SOLVER.BASE_LR": "0.0001"}
    given = [backbones, tuple(data[1:3]), tuple(data[4:6]), tmp_path / "out"]
    page = example.compare(*given, seeds=1, settings=settings)
    assert page == tmp_path / "out/report/report.html"
    records = json.loads((tmp_path / "out/report/results.json").read_text())
    assert [(record["name"], record["init"], record["seed"]) for record in records] == [
        ("theirs-seed0", "theirs", 0),
        ("ours-seed0", "ours", 0),
    ]
    assert all(record["weights"]["loaded"] == record["weights"]["expected"] == 100 for record in records)
    assert "ours minus theirs" in (tmp_path / "out/report/report.md").read_text()
    monkeypatch.setattr(transfer, "finetune", lambda *words, **more: pytest.fail("trained again"))
    assert example.compare(*given, seeds=1, settings=settings) == page
