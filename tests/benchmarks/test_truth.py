"""Hypergradients are compared with the exact ones, along a real run."""

import numpy as np
import pytest
import torch

from benchmarks.modes import MODES, Case
from benchmarks.truth import TruthSettings, compare, nearest_neighbours, run

CPU = torch.device("cpu")
MODE = {mode.name: mode for mode in MODES}


def test_comparison_of_hypergradients():
    exact = {"mask.logits": torch.tensor([3.0, 4.0]), "fusion.w": torch.tensor([1.0]), "fusion.b": torch.tensor([1.0])}
    other = {"mask.logits": torch.tensor([6.0, 8.0]), "fusion.w": torch.tensor([1.0]), "fusion.b": torch.tensor([-1.0])}
    assert compare(other, exact) == {"mask": pytest.approx((1.0, 2.0)), "fusion": pytest.approx((0.0, 1.0))}
    assert np.isnan(compare({**other, "mask.logits": torch.zeros(2)}, exact)["mask"][0])


def test_the_exact_mode_is_true_to_itself(images):
    case, settings = Case("resnet18", 32, 4, head=64), TruthSettings(steps=3, every=1, others=2)
    exact = run(MODE["forward mode, post (exact)"], case, images, settings, CPU)
    assert exact["n"] == 3
    for variable in ("mask", "fusion"):
        mean = exact[variable].pop("mean_cosine")
        assert -1 <= mean < 0.9999, "other batches' hypergradients are others"
        assert exact[variable] == pytest.approx({"cosine": 1, "lowest_cosine": 1, "norm_ratio": 1}, abs=1e-9)
    other = run(MODE["feature difference, inline"], case, images, settings, CPU)
    assert other["mask"]["cosine"] < 0.9999, "from other weights"
    assert exact["knn"] is None, "no classes"


def test_nearest_neighbours_of_class_folders(images, tmp_path):
    """Val holds the training images themselves: each is its own nearest neighbour."""
    for split in ("train", "val"):
        for k, image in enumerate(sorted(images.iterdir())):
            folder = tmp_path / split / f"class{k % 3}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / image.name).write_bytes(image.read_bytes())
    backbone = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(48, 48))
    knn = nearest_neighbours(backbone, tmp_path, 32)
    assert knn["accuracy"] > 60
    assert knn["standard_error"] == pytest.approx((knn["accuracy"] * (100 - knn["accuracy"]) / 12) ** 0.5)
