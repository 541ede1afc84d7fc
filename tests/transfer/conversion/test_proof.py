import pytest
import torch

from tests.cases.checkpoints import network, to_detectron2_by_hand
from transfer.checkpoints.checkpoint import read
from transfer.conversion import proof, proof_images
from transfer.conversion.networks import Run
from transfer.detectors.loaded import Loaded


@pytest.mark.parametrize("name", ["res5.1.conv2.norm.running_var", "stem.conv1.weight", "res2.0.conv1.norm.bias"])
def test_a_slight_difference_in_one_tensor_shows(pair, tmp_path, name):
    content = torch.load(pair[1], weights_only=True)
    content["model"][name] *= 1.01
    torch.save(content, tmp_path / "d.pth")
    assert not proof.prove(read(pair[0]), tmp_path / "d.pth", "detectron2", "fpn")[0].holds


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
    _, features = proof._source_features(source, pixels)
    for stage, wanted in hooked.items():
        assert torch.allclose(features[stage], wanted, rtol=1e-4, atol=1e-4)


def test_names_by_hand_are_the_converters(pair):
    held = torch.load(pair[1], weights_only=True)["model"]
    assert set(held) == {to_detectron2_by_hand(name) for name in read(pair[0]).state}
