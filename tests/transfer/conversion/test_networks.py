import pytest
import timm
import torch
import torchvision

from tests.cases.checkpoints import backbone, network, small_stem
from transfer.checkpoints import resnets
from transfer.checkpoints.layouts import IMAGENET, MSRA
from transfer.conversion import networks, proof_images
from transfer.detectors.loaded import Loaded
from transfer.errors import CheckpointError, InputError

R18, R50 = resnets.SPECS["resnet18"], resnets.SPECS["resnet50"]


def _fed():
    return networks.normalised(proof_images.synthetic(), IMAGENET)


def test_normalisation_is_torchvisions():
    pixels = proof_images.synthetic()
    wanted = torchvision.transforms.Normalize(IMAGENET.mean, IMAGENET.std)(pixels / 255)
    assert torch.allclose(networks.normalised(pixels, IMAGENET), wanted, atol=1e-5)
    # Caffe's: the means off, nothing divided, blue first.
    wanted = pixels.flip(1) - torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)
    assert torch.allclose(networks.normalised(pixels, MSRA), wanted, atol=1e-4)


@pytest.mark.parametrize("arch", ["resnet18", "resnext50_32x4d", "wide_resnet50_2"])
def test_our_torchvision_network_is_torchvisions(arch):
    model, fed = network(arch), _fed()
    run = networks.run_torchvision_names(networks.torchvision_network(resnets.SPECS[arch]), backbone(model), fed)
    with torch.inference_mode():
        pooled = run.features["res5"].mean((2, 3))
        assert torch.allclose(model.fc(pooled), model(fed), atol=1e-3)
    assert run.tensors == Loaded(len(backbone(model)))


def test_small_stem_keeps_the_resolution():
    run = networks.run_torchvision_names(
        networks.torchvision_network(R18, "small"), backbone(small_stem(network())), _fed()
    )
    assert run.features["stem"].shape == (2, 64, *proof_images.SIZE)


def test_caffe_strides_are_another_network():
    state, fed = backbone(network("resnet50")), _fed()
    one, two = (
        networks.run_torchvision_names(networks.torchvision_network(R50, "imagenet", c), state, fed)
        for c in (True, False)
    )
    assert torch.equal(one.features["res2"], two.features["res2"])
    assert one.features["res5"].shape == two.features["res5"].shape
    assert not torch.allclose(one.features["res3"], two.features["res3"], rtol=0.1)


def test_what_does_not_load_is_told_and_nothing_is_run():
    state = backbone(network())
    del state["bn1.bias"]
    state["conv1.weight"] = torch.zeros(1)
    state["extra"] = torch.zeros(1)
    run = networks.run_torchvision_names(networks.torchvision_network(R18), state, _fed())
    assert (run.tensors.loaded, run.tensors.expected, run.features) == (98, 100, {})
    assert str(run.tensors) == (
        "98/100 tensors, 2 missing (conv1.weight, bn1.bias), 1 unused (extra), 1 misshapen (conv1.weight)"
    )


def test_timm_runs_its_own_network_and_refuses_what_is_incomplete(tmp_path):
    state = backbone(network())
    torch.save(state, tmp_path / "x.pth")
    run = networks.run_timm(tmp_path / "x.pth", R18, _fed())
    model = timm.create_model("resnet18", num_classes=0).eval()
    model.load_state_dict(state, strict=False)
    with torch.inference_mode():
        assert torch.allclose(model.forward_features(_fed()), run.features["res5"], atol=1e-5)
    del state["layer4.1.bn2.bias"]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"layer4\.1\.bn2\.bias"):
        networks.run_timm(tmp_path / "x.pth", R18, _fed())


def test_an_absent_framework_is_named():
    with pytest.raises(InputError, match="no_such_framework is not installed"):
        networks.imported("no_such_framework")
