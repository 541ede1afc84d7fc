"""What a backbone's features are judged by, on images whose classes are known to be easy."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.learning.judge import Judge, backbone_at, iteration_of, mean_and_error, random_backbone
from benchmarks.sets.subset import link_subset
from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD


@pytest.fixture(scope="module")
def judge(cifar10, tmp_path_factory):
    return Judge(link_subset(cifar10, tmp_path_factory.mktemp("set"), 20, 8), 32, bank=20)


class MeanColour(nn.Module):
    """Features that are an image's mean colour times a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, images):
        return self.factor * images.mean((2, 3))


def test_colours_are_told_apart_by_their_mean(judge):
    look = judge.look(MeanColour(1.0), 7)
    assert (look.iteration, look.knn, look.linear, look.error) == (7, 100.0, 100.0, 0.0)


def test_features_without_information_are_at_chance(judge):
    look = judge.look(MeanColour(0.0), 0)
    assert look.knn == 50.0
    assert look.error == pytest.approx(100 * (0.25 / 8) ** 0.5)


def test_statistics_are_those_of_the_training_images(judge):
    net = nn.Sequential(nn.Identity(), nn.BatchNorm2d(3))
    with_statistics = judge.with_statistics(net)
    pixels = np.stack([judge.train.read(k) for k in range(20)]).astype(np.float64) / 255
    normalised = (pixels - IMAGENET_MEAN) / IMAGENET_STD
    assert np.allclose(with_statistics[1].running_mean, normalised.mean((0, 1, 2)), atol=1e-5)
    assert np.allclose(with_statistics[1].running_var, normalised.var((0, 1, 2), ddof=1), rtol=1e-4)
    assert torch.equal(net[1].running_mean, torch.zeros(3)), "the network given is left as it was"


def test_the_backbone_inside_a_checkpoint(tmp_path):
    net = random_backbone(3, "imagenet")
    state = {f"backbone.{name}": value for name, value in net.state_dict().items()} | {"heads.w": torch.ones(2)}
    path = tmp_path / "iteration_00000120.pth"
    torch.save({"state_dict": state}, path)
    assert iteration_of(path) == 120
    read = backbone_at(path, "imagenet").state_dict()
    assert read.keys() == net.state_dict().keys()
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in read.items())


def test_random_weights_are_those_of_their_seed():
    state = torch.random.get_rng_state()
    first, again, other = (random_backbone(seed, "imagenet").conv1.weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state), (
        "the caller's random numbers go on as if nothing were drawn"
    )


def test_mean_and_standard_error():
    assert mean_and_error([1.0, 2.0, 6.0]) == (3.0, pytest.approx(7**0.5 / 3**0.5))
    assert mean_and_error([4.0]) == (4.0, None)
