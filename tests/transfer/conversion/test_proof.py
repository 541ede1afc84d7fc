import pytest
import torch
from PIL import Image

from tests.cases.checkpoints import backbone, network, save_own, save_pickle, to_detectron2_by_hand
from transfer.__main__ import main
from transfer.checkpoints.checkpoint import read
from transfer.conversion import convert, proof, proof_images
from transfer.conversion.networks import Run
from transfer.detectors.loaded import Loaded


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A source and its Detectron2 conversion."""
    folder = tmp_path_factory.mktemp("pair")
    source = save_own(folder / "backbone.safetensors", backbone(network()))
    convert.convert(read(source), "detectron2", folder / "d.pth")
    return source, folder / "d.pth"


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
    words = ["verify", str(tmp_path / "half.pth"), str(tmp_path / "d.pth"), "--head", "fpn"]
    convert.convert(read(tmp_path / "half.pth", widen=True), "detectron2", tmp_path / "d.pth")
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


@pytest.mark.parametrize("name", ["res5.1.conv2.norm.running_var", "stem.conv1.weight", "res2.0.conv1.norm.bias"])
def test_a_slight_difference_in_one_tensor_shows(pair, tmp_path, name):
    content = torch.load(pair[1], weights_only=True)
    content["model"][name] *= 1.01
    torch.save(content, tmp_path / "d.pth")
    assert not proof.prove(read(pair[0]), tmp_path / "d.pth", "detectron2", "fpn")[0].holds


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


def test_a_proof_holds_only_with_everything_loaded_and_finite():
    good = {"stem": (1e-7, 1e-7)}
    whole = Run({}, Loaded(100))
    assert proof.Proof("x", good, whole).holds
    assert not proof.Proof("x", {}, whole).holds
    assert not proof.Proof("x", {"stem": (1.0, 2e-5)}, whole).holds
    assert not proof.Proof("x", {"stem": (float("nan"), float("nan"))}, whole).holds
    assert not proof.Proof("x", good, Run({}, Loaded(100, ("a",)))).holds
    assert not proof.Proof("x", good, Run({}, Loaded(100, unused=("a",)))).holds


def test_precision_and_threads_are_restored(pair):
    def settings():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.get_num_threads()

    before = settings()
    proof.prove(read(pair[0]), pair[1], "detectron2", "fpn")
    assert settings() == before


def test_the_features_are_those_of_torchvisions_own_hooks(pair):
    """The reference itself, against forward hooks on an untouched torchvision network."""
    model, source = network(), read(pair[0])
    pixels = proof_images.synthetic()
    fed = (pixels / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    hooked = {}
    for stage, name in zip(
        ("stem", "res2", "res3", "res4", "res5"), ("maxpool", "layer1", "layer2", "layer3", "layer4"), strict=True
    ):
        getattr(model, name).register_forward_hook(lambda _m, _i, out, stage=stage: hooked.__setitem__(stage, out))
    with torch.inference_mode():
        model(fed)
    _, found = proof._source_features(source, pixels)
    for stage, wanted in hooked.items():
        assert torch.allclose(found[stage], wanted, rtol=1e-4, atol=1e-4)


def test_names_by_hand_are_the_converters(pair):
    held = torch.load(pair[1], weights_only=True)["model"]
    assert set(held) == {to_detectron2_by_hand(name) for name in read(pair[0]).state}
