import numpy as np
import pytest
import torch
from torch import nn

from pretrain.backbones import IMAGENET_MEAN, IMAGENET_STD, build_backbone
from pretrain.probes import features
from pretrain.probes.features import Input, central_square, evaluating, extract_features, set_statistics

PLAIN = Input(size=8, resize=8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Arrays:
    """Images in memory; None stands for one that cannot be read."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def read(self, k):
        return self.images[k]


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return Arrays([rng.integers(0, 255, (8 + k, 12, 3), dtype=np.uint8) for k in range(5)])


def average():
    """A backbone whose feature is the mean colour."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
    nn.init.eye_(net[2].weight)
    return net


def test_the_central_square_is_cut_from_the_middle():
    image = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    assert np.array_equal(central_square(image, 8, 8), image[:, 2:10])
    assert np.array_equal(central_square(image, 4, 8), image[2:6, 4:8])


@pytest.mark.parametrize("shape", [(40, 60, 3), (61, 33, 3), (5, 9, 3), (32, 32, 3)])
def test_every_shape_becomes_the_square(shape):
    image = np.full(shape, 7, np.uint8)
    assert np.array_equal(central_square(image, 28, 32), np.full((28, 28, 3), 7, np.uint8))


def test_features_are_those_of_the_normalised_central_squares_in_order(images):
    how = Input(size=8, resize=8, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    features = extract_features(average(), images, how, batch=2)
    squares = np.stack([central_square(image, 8, 8) for image in images.images]) / 255
    expected = (squares.mean(axis=(1, 2)) - how.mean) / how.std
    assert np.allclose(features.values, expected, atol=1e-5)
    assert features.readable.all()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_marked_and_changes_no_other(images, workers):
    whole = extract_features(average(), images, PLAIN, batch=2, workers=workers)
    images.images[3] = None
    features = extract_features(average(), images, PLAIN, batch=2, workers=workers)
    assert features.readable.tolist() == [True, True, True, False, True]
    assert torch.equal(features.values[features.readable], whole.values[features.readable])


def test_extraction_leaves_the_backbone_and_the_random_state_as_they_were(images):
    net = build_backbone("resnet18", "small").train()
    net.layer1.eval()  # a part frozen by its owner stays so
    modes = [m.training for m in net.modules()]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = torch.get_rng_state()
    features = extract_features(net, images, Input(8, 8, IMAGENET_MEAN, IMAGENET_STD))
    assert torch.equal(state, torch.get_rng_state())
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert features.values.shape == (5, 512)
    assert not features.values.requires_grad


def test_eval_mode_ends_with_its_block_even_after_an_error():
    def fail():
        with evaluating(net):
            modes.append(net.training)
            raise RuntimeError

    net, modes = nn.BatchNorm1d(2).train(), []
    with pytest.raises(RuntimeError):
        fail()
    assert (modes, net.training) == ([False], True)


def test_the_bar_is_named_after_the_images_and_only_asked_for_with_a_name(images, monkeypatch):
    bars = []

    def watched(steps, what, **units):
        bars.append((what, units))
        return steps

    monkeypatch.setattr(features, "progress", watched)
    extract_features(average(), images, PLAIN, batch=2, name="val")
    extract_features(average(), images, PLAIN, batch=2)
    units = {"unit": "img", "each": 2, "total": 3}
    assert bars == [("features of val", units), (None, units)]


def shades(*values):
    """One 8 by 8 image of each grey."""
    return Arrays([np.full((8, 8, 3), value, np.uint8) for value in values])


def test_statistics_are_those_of_the_images_and_nothing_else_moves():
    net = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.Flatten()).eval()
    nn.init.uniform_(net[0].running_mean)
    images, state = shades(10, 20, 30, 60, 255), torch.get_rng_state()
    images.images[4] = None  # is no image of a statistic
    assert set_statistics(net, images, PLAIN) == 5
    pixels = torch.tensor([10.0, 20, 30, 60]).repeat_interleave(64) / 255
    assert torch.allclose(net[0].running_mean, pixels.mean().expand(3), atol=1e-6)
    assert torch.allclose(net[0].running_var, pixels.var().expand(3), atol=1e-6)
    assert (net.training, net[0].momentum) == (False, 0.3)
    assert torch.equal(net[0].weight, torch.ones(3))
    assert torch.equal(state, torch.get_rng_state())


def test_a_batch_that_cannot_be_read_sets_no_statistics(monkeypatch):
    monkeypatch.setattr(features, "STATISTICS_BATCH", 2)
    net, images = nn.BatchNorm1d(3), Arrays([None, None, None, None])
    assert set_statistics(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), net), images, PLAIN) == 4
    assert torch.equal(net.running_mean, torch.zeros(3))


def test_statistics_of_images_sorted_by_class_are_those_of_all_classes(monkeypatch):
    """In the order of the folders each batch would hold one shade, and the variance be 0."""
    monkeypatch.setattr(features, "STATISTICS_BATCH", 8)
    monkeypatch.setattr(features, "STATISTICS_IMAGES", 70)
    net = nn.BatchNorm2d(3)
    assert set_statistics(net, shades(*[0] * 40, *[255] * 40), PLAIN) == 64
    assert float(net.running_var[0]) == pytest.approx(0.25, rel=0.2)
