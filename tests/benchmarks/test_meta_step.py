"""The benchmark of the meta step gives a complete table and adds up memory rightly. No time decides anything."""

import json

import cv2
import numpy as np
import pytest
import torch

from benchmarks.memory import peak_bytes, peak_of_trace
from benchmarks.meta_step import main
from benchmarks.modes import MODES, Case
from benchmarks.truth import TruthSettings, compare, nearest_neighbours, run

CPU = torch.device("cpu")
MODE = {mode.name: mode for mode in MODES}


def test_peak_of_a_step_counts_what_was_there_before():
    size = 2**18  # float32: 1 MiB

    def prepare():
        kept = torch.zeros(3 * size)
        freed = torch.zeros(9 * size)
        del freed  # before the measured work

        def work():
            a = torch.ones(2 * size)
            del a
            b = torch.ones(size)
            return kept.sum() + b.sum()

        return work

    peak = peak_bytes(prepare, CPU)
    assert 5 * 2**20 <= peak < 5.1 * 2**20


def test_a_trace_without_its_window_is_refused():
    with pytest.raises(ValueError, match="measured steps"):
        peak_of_trace([{"name": "[memory]", "ts": 1, "args": {"Bytes": 4}}])


def test_comparison_of_hypergradients():
    exact = {"mask.logits": torch.tensor([3.0, 4.0]), "fusion.w": torch.tensor([1.0]), "fusion.b": torch.tensor([1.0])}
    found = {"mask.logits": torch.tensor([6.0, 8.0]), "fusion.w": torch.tensor([1.0]), "fusion.b": torch.tensor([-1.0])}
    assert compare(found, exact) == {"mask": pytest.approx((1.0, 2.0)), "fusion": pytest.approx((0.0, 1.0))}
    assert np.isnan(compare({**found, "mask.logits": torch.zeros(2)}, exact)["mask"][0])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Twelve smooth random images."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for k in range(12):
        small = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{k}.png"), cv2.resize(small, (48, 48), interpolation=cv2.INTER_CUBIC))
    return folder


def test_the_exact_mode_is_true_to_itself(images):
    case, settings = Case("resnet18", 32, 4, head=64), TruthSettings(steps=3, every=1, others=2)
    found = run(MODE["forward mode, post (exact)"], case, images, settings, CPU)
    assert found["n"] == 3
    for variable in ("mask", "fusion"):
        mean = found[variable].pop("mean_cosine")
        assert -1 <= mean < 0.9999, "other batches' hypergradients are others"
        assert found[variable] == pytest.approx({"cosine": 1, "lowest_cosine": 1, "norm_ratio": 1}, abs=1e-9)
    other = run(MODE["feature difference, inline"], case, images, settings, CPU)
    assert other["mask"]["cosine"] < 0.9999, "from other weights"
    assert found["knn"] is None, "no classes"


def test_nearest_neighbours_of_class_folders(images, tmp_path):
    """Val holds the training images themselves: each is its own nearest neighbour."""
    for split in ("train", "val"):
        for k, image in enumerate(sorted(images.iterdir())):
            folder = tmp_path / split / f"class{k % 3}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / image.name).write_bytes(image.read_bytes())
    backbone = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(48, 48))
    found = nearest_neighbours(backbone, tmp_path, 32)
    assert found["accuracy"] > 60
    assert found["standard_error"] == pytest.approx((found["accuracy"] * (100 - found["accuracy"]) / 12) ** 0.5)


@pytest.mark.slow
def test_the_quick_run_gives_a_complete_table(tmp_path, images, capsys):
    outputs = [tmp_path / "figures.json", tmp_path / "table.md"]
    small = ["--truth-size", "32", "--truth-n", "4", "--truth-steps", "6", "--truth-every", "2", "--truth-others", "2"]
    arguments = ["--quick", "--truth", str(images), *small, "--json", str(outputs[0]), "--markdown", str(outputs[1])]
    assert main(arguments) == 0
    figures = json.loads(outputs[0].read_text())
    assert {"threads", "torch", "device"} <= figures["machine"].keys()
    (case,) = figures["cases"]
    assert [row["mode"] for row in case["rows"]] == list(MODE)
    for row in case["rows"]:
        assert row["time"]["low"] <= row["time"]["median"] <= row["time"]["high"]
        assert row["time"]["n"] == 2
        assert row["memory"] >= 1
    for row in figures["truth"]["rows"].values():
        assert row["n"] > 0
        assert row["knn"] is None
    text = outputs[1].read_text()
    assert text == capsys.readouterr().out
    assert all(name in text for name in MODE)


def test_a_missing_folder_is_said_before_anything_is_measured(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--json", str(tmp_path / "nowhere" / "out.json")])
    assert "expected an existing folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--case", "resnet18:64"])
    assert "expected ARCH:SIZE:N" in capsys.readouterr().err
    assert main(["--quick", "--truth", str(tmp_path / "none")]) == 1
    assert "found no folder" in capsys.readouterr().err
