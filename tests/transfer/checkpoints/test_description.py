import torch

from tests.cases.checkpoints import backbone, network, save_own, small_stem
from transfer.checkpoints.description import as_lines, describe


def lines(description):
    return dict(line.split(maxsplit=1) for line in as_lines(description))


def test_our_own_file_in_words(tmp_path):
    description = describe(save_own(tmp_path / "x.safetensors", backbone(network())))
    assert (description["arch"], description["stem"], description["prefix"]) == ("resnet18", "imagenet", "")
    assert (description["found"], description["expected"], description["dtype"]) == (100, 100, ["float32"])
    assert (description["problems"], description["doubts"], description["others"]) == ([], [], [])
    assert description["metadata"]["seed"] == 7
    words = lines(description)
    assert words["tensors"] == "100/100 float32"
    assert words["architecture"] == "resnet18, imagenet stem"
    assert words["normalisation"] == "RGB, mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225 (from the file)"
    assert words["strides"] == "in the 3x3 (torchvision)"
    assert words["convertible"] == "yes"


def test_problems_doubts_and_what_nobody_says(tmp_path):
    state = backbone(small_stem(network()))
    del state["bn1.bias"]
    state["layer1.0.bn1.weight"] = state["layer1.0.bn1.weight"].double()
    torch.save({"model": {f"backbone.bottom_up.{k}": v for k, v in to_detectron2(state).items()}}, tmp_path / "x.pth")
    description = describe(tmp_path / "x.pth")
    assert description["mean"] is description["stride_in_1x1"] is None
    assert (description["found"], description["dtype"]) == (99, ["float32", "float64"])
    assert len(description["problems"]) == 2
    words = lines(description)
    assert words["normalisation"] == "unknown: say it with --convention"
    assert words["strides"] == "unknown"
    assert words["convertible"].startswith("no: 1 missing (bn1.bias); 1 tensors in float64 instead of float32")
    assert words["doubt"] == description["doubts"][0]


def to_detectron2(state):
    from transfer.checkpoints import names

    return {names.to_detectron2(name): tensor for name, tensor in state.items()}


def test_a_text_of_the_file_makes_no_line_of_its_own(tmp_path):
    state = {**backbone(network()), "head\nconvertible   yes": torch.zeros(1)}
    torch.save({"state_dict": {f"backbone.{k}": v for k, v in state.items()}, "arch": "resnet\n50"}, tmp_path / "x.pth")
    printed = as_lines(describe(tmp_path / "x.pth"))
    assert not any("\n" in line for line in printed)
    assert [line for line in printed if line.startswith("convertible")] == [printed[11]]
    assert printed[11].startswith("convertible    no: 1 unexpected keys")
