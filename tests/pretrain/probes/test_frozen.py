import hashlib
import json

import pytest
import torch

from pretrain.backbones import IMAGENET_MEAN, build_backbone, save_backbone
from pretrain.errors import InputError
from pretrain.mask_file import FILE
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


def test_random_weights_are_to_get_statistics_unless_they_are_taken_as_they_are():
    assert load_frozen("random:resnet18").unset
    as_is = load_frozen("random:resnet18:small:as-is", seed=3)
    assert (as_is.unset, as_is.about["stem"], as_is.about["file"]) == (False, "small", "random:resnet18:small:as-is")
    assert as_is.backbone.conv1.weight.equal(load_frozen("random:resnet18:small", seed=3).backbone.conv1.weight)
    assert not load_frozen("random:resnet18:as-is").unset


def test_masked_features_are_the_features_times_the_files_mask(tmp_path):
    path, net, mask = tmp_path / "b.safetensors", build_backbone("resnet18", "small"), torch.rand(512)
    save_backbone(path, net, {**ABOUT, "iteration": 7})
    (tmp_path / FILE).write_text(json.dumps({0: [0.5] * 512, 7: mask.tolist()}))
    plain, masked = (load_frozen(str(path), masked=masked) for masked in (False, True))
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        h, under_mask = plain.backbone.eval()(x), masked.backbone.eval()(x)
    assert torch.equal(under_mask, h * mask)
    assert (plain.unset, masked.unset) == (False, False)


def test_without_a_mask_of_this_training_there_is_no_masked_backbone(tmp_path):
    path = tmp_path / "b.safetensors"
    save_backbone(path, build_backbone("resnet18", "small"), {**ABOUT, "iteration": 7})
    with pytest.raises(InputError, match="found none"):
        load_frozen(str(path), masked=True)
    (tmp_path / FILE).write_text(json.dumps({5: [0.5] * 512}))
    with pytest.raises(InputError, match="at iteration 7"):
        load_frozen(str(path), masked=True)
    with pytest.raises(InputError, match="--masked"):
        load_frozen("random:resnet18", masked=True)


@pytest.mark.parametrize("weights", ["random:vgg", "random:resnet18:deep", "random:as-is", "nowhere.safetensors"])
def test_what_is_no_backbone_is_refused(weights):
    with pytest.raises(InputError):
        load_frozen(weights)
