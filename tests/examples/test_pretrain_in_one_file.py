"""The example runs as it stands, and its losses are those of the package's own objective."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from examples import pretrain_in_one_file as example
from pretrain import load_backbone
from pretrain.method.methods import METHODS, ObjectiveSettings
from pretrain.method.objective import Objective

SETTINGS = ObjectiveSettings(balance="none", redundancy_widths=(512, 512), contrastive_widths=(512, 128))
LONGEST = 160  # lines


@pytest.fixture(autouse=True)
def _same_random_numbers_afterwards():
    with torch.random.fork_rng(devices=[]):
        yield


def test_it_is_short_enough_to_be_read():
    assert len(Path(example.__file__).read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_digits_move_both_levels_and_leave_a_backbone(tmp_path, capsys):
    out = tmp_path / "backbone.safetensors"
    history = example.main(["--iterations", "4", "--batch", "16", "--size", "16", "--out", str(out)])
    assert len(history) == 4
    assert all(math.isfinite(number) for numbers in history for number in numbers.values())
    assert 0 < history[0]["mask_spread"] < history[-1]["mask_spread"]
    backbone, metadata = load_backbone(out)
    assert (metadata["method"], metadata["arch"], metadata["stem"]) == ("metamask_compmod", "resnet18", "small")
    torch.manual_seed(0)
    untrained = example.build_backbone("resnet18", "small")
    assert not torch.equal(backbone.conv1.weight, untrained.conv1.weight)
    assert backbone.bn1.running_mean.abs().max() > 0  # moved by the real steps
    assert "upper_loss" in capsys.readouterr().out


def test_a_folder_of_images_works_too(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(4):
        cv2.imwrite(str(tmp_path / f"{k}.jpg"), rng.integers(0, 255, (30, 40, 3), np.uint8))
    flags = ["--iterations", "1", "--batch", "8", "--size", "16", "--out", str(tmp_path / "b.safetensors")]
    assert len(example.main([str(tmp_path), *flags])) == 1


def test_the_losses_are_those_of_the_package():
    torch.manual_seed(0)
    joint = example.Joint(512)
    objective = Objective(method=METHODS["metamask_compmod"], width=512, settings=SETTINGS)
    missing, unexpected = objective.load_state_dict(joint.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("balance.") for name in missing)  # the example weighs its losses as the papers do
    h, fixed = torch.randn(2, 8, 512), torch.rand(2, 8, 512)
    assert joint("lower", h).item() == pytest.approx(objective("lower", h).item(), rel=1e-5)
    assert joint("trial", h).item() == pytest.approx(objective("trial", h).item(), rel=1e-5)
    expected = objective("upper", h, fixed=fixed)
    assert joint("upper", h, fixed).item() == pytest.approx(expected.item(), rel=1e-5)
