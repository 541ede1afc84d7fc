import hashlib

import pytest
import torch

from pretrain.backbones import IMAGENET_MEAN, build_backbone, save_backbone
from pretrain.errors import InputError
from pretrain.probes.frozen import load_frozen

ABOUT = {"arch": "resnet18", "stem": "small", "mean": [0.1, 0.2, 0.3], "std": [0.4] * 3, "method": "simclr", "epoch": 3}


def test_a_file_brings_its_normalisation_its_size_and_what_it_is(tmp_path):
    path, net = tmp_path / "b.safetensors", build_backbone("resnet18", "small")
    save_backbone(path, net, {**ABOUT, "settings": {"views": {"size": 24}}})
    frozen = load_frozen(str(path))
    assert (frozen.mean, frozen.std, frozen.size) == ((0.1, 0.2, 0.3), (0.4, 0.4, 0.4), 24)
    assert frozen.about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (frozen.about["method"], frozen.about["epoch"], frozen.about["seed"]) == ("simclr", 3, None)
    assert torch.equal(frozen.backbone.conv1.weight, net.conv1.weight)


def test_random_weights_depend_on_the_seed_alone():
    state = torch.get_rng_state()
    nets = [load_frozen("random:resnet18:small", seed).backbone for seed in (0, 0, 1)]
    assert torch.equal(state, torch.get_rng_state())
    assert nets[0].conv1.weight.equal(nets[1].conv1.weight)
    assert not nets[0].conv1.weight.equal(nets[2].conv1.weight)
    assert nets[0].conv1.kernel_size == (3, 3)
    frozen = load_frozen("random:resnet18")
    assert (frozen.mean, frozen.size, frozen.about["sha256"]) == (IMAGENET_MEAN, None, None)


@pytest.mark.parametrize("weights", ["random:vgg", "random:resnet18:deep", "nowhere.safetensors"])
def test_what_is_no_backbone_is_refused(weights):
    with pytest.raises(InputError):
        load_frozen(weights)
