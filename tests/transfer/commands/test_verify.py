"""``python -m transfer verify``: the proofs it prints, and its exit codes."""

import torch
from PIL import Image

from tests.cases.checkpoints import backbone, network, save_own, save_pickle
from transfer.__main__ import main
from transfer.checkpoints.checkpoint import read
from transfer.conversion.convert import convert


def test_the_same_backbone(pair, capsys):
    assert main(["verify", *map(str, pair)]) == 0
    out = capsys.readouterr().out
    for stage in ("stem", "res2", "res3", "res4", "res5", "res5 (RoI head)"):
        assert stage in out
    assert out.count("100/100") == 2


def test_source_and_target_may_change_sides(pair):
    assert main(["verify", str(pair[1]), str(pair[0]), "--to", "torchvision"]) == 0


def test_a_source_in_half_precision_is_compared_when_that_is_asked_for(pair, tmp_path, capsys):
    content = torch.load(pair[1], weights_only=True)
    content["model"] = {name: tensor.half() for name, tensor in content["model"].items()}
    torch.save(content, tmp_path / "half.pth")
    convert(read(tmp_path / "half.pth", widen=True), "detectron2", tmp_path / "d.pth")
    words = ["verify", str(tmp_path / "half.pth"), str(tmp_path / "d.pth"), "--head", "fpn"]
    assert main(words) == 1
    assert "in float16 instead of float32 (--widen takes them)" in capsys.readouterr().err
    assert main([*words, "--widen"]) == 0
    assert main(["verify", str(tmp_path / "half.pth"), str(pair[1]), "--head", "fpn", "--widen"]) == 1


def test_another_backbone_is_told_from_this(pair, tmp_path, capsys):
    other = save_own(tmp_path / "other.safetensors", backbone(network(seed=1)))
    assert main(["verify", str(other), str(pair[1]), "--head", "fpn"]) == 1
    printed = capsys.readouterr()
    assert "NOT THE SAME" in printed.out
    assert printed.err.count("\n") == 1


def test_an_incomplete_target_is_no_target(pair, tmp_path, capsys):
    content = torch.load(pair[1], weights_only=True)
    del content["model"]["res3.0.shortcut.norm.bias"]
    torch.save(content, tmp_path / "d.pth")
    assert main(["verify", str(pair[0]), str(tmp_path / "d.pth")]) == 1
    assert "1 missing (layer2.0.downsample.1.bias)" in capsys.readouterr().err


def test_another_architecture_is_said_in_one_line(pair, tmp_path, capsys):
    save_own(tmp_path / "r34.safetensors", backbone(network("resnet34")), arch="resnet34")
    assert main(["verify", str(tmp_path / "r34.safetensors"), str(pair[1])]) == 1
    assert "expected resnet34 with the imagenet stem, found resnet18" in capsys.readouterr().err


def test_targets_that_others_converted(pair, tmp_path, capsys):
    """No metadata inside, no overlay beside: fed as the source is. A pickle is not handed to Detectron2."""
    content = torch.load(pair[1], weights_only=True)
    del content["metadata"]
    torch.save(content, tmp_path / "foreign.pth")
    assert main(["verify", str(pair[0]), str(tmp_path / "foreign.pth")]) == 0
    content["model"] = {name: tensor.numpy() for name, tensor in content["model"].items()}
    save_pickle(tmp_path / "foreign.pkl", content)
    assert main(["verify", str(pair[0]), str(tmp_path / "foreign.pkl")]) == 1
    assert "unsafely" in capsys.readouterr().err


def test_real_images(pair, tmp_path):
    for number in range(2):
        Image.new("RGB", (50, 40), (200, 30 * number, 90)).save(tmp_path / f"{number}.png")
    assert main(["verify", *map(str, pair), "--images", str(tmp_path), "--head", "c4"]) == 0
    assert main(["verify", *map(str, pair), "--images", str(tmp_path / "absent")]) == 1
