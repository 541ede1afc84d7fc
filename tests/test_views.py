"""The views' distribution, against torchvision's transforms where it has the same one."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as transforms
from scipy.stats import ks_2samp

from pretrain.errors import InputError
from pretrain.views import ViewSettings, crop_box, jitter, make_view


@pytest.fixture
def image():
    """A smooth colour gradient with some texture, 60 x 90."""
    y, x = np.mgrid[0:60, 0:90]
    texture = np.random.default_rng(0).integers(0, 30, (60, 90, 1))
    return (np.stack([y * 3, x * 2, 200 - y], axis=-1) + texture).clip(0, 255).astype(np.uint8)


def test_a_view_depends_on_its_seed_alone(image):
    s = ViewSettings(size=32, blur=0.5)
    views = [make_view(image, s, np.random.default_rng((1, 2, 3))) for _ in range(2)]
    assert np.array_equal(*views)
    assert not np.array_equal(views[0], make_view(image, s, np.random.default_rng((1, 2, 4))))


def test_crop_areas_and_ratios_are_those_of_torchvision():
    s, rng = ViewSettings(), np.random.default_rng(0)
    ours = np.array([crop_box(60, 90, s, rng)[2:] for _ in range(3000)])
    torch.manual_seed(0)
    blank = torch.zeros(3, 60, 90)
    theirs = np.array(
        [transforms.RandomResizedCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3])[2:] for _ in range(3000)]
        if hasattr(transforms.RandomResizedCrop, "get_params")
        else [_v2_box(blank) for _ in range(3000)]
    )
    for statistic in (lambda b: b[:, 0] * b[:, 1], lambda b: b[:, 0] / b[:, 1]):
        assert ks_2samp(statistic(ours), statistic(theirs)).pvalue > 1e-3


def _v2_box(blank):
    box = transforms.RandomResizedCrop(32).make_params([blank])
    return box["height"], box["width"]


@pytest.mark.parametrize("channel", range(3))
def test_jittered_colours_are_distributed_as_torchvisions(image, channel):
    s, rng = ViewSettings(), np.random.default_rng(0)
    torch.manual_seed(0)
    reference, tensor = transforms.ColorJitter(0.4, 0.4, 0.4, 0.1), torch.from_numpy(image).permute(2, 0, 1)
    ours = [jitter(image, s, rng)[..., channel].mean() for _ in range(400)]
    theirs = [float(reference(tensor)[channel].float().mean()) for _ in range(400)]
    assert abs(np.mean(ours) - np.mean(theirs)) < 4 * np.std(theirs) / np.sqrt(200)
    assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.2)


def test_without_any_probability_the_full_crop_is_only_resized(image):
    s = ViewSettings(size=60, crop_min=1.0, ratio=1.0, flip=0, jitter=0, grey=0)
    square = image[:, :60]
    assert np.array_equal(make_view(square, s, np.random.default_rng(0)), square)


def test_grey_views_have_equal_channels_and_flips_mirror(image):
    s = ViewSettings(size=60, crop_min=1.0, ratio=1.0, flip=1.0, jitter=0, grey=0)
    square = np.ascontiguousarray(image[:, :60])
    assert np.array_equal(make_view(square, s, np.random.default_rng(0)), square[:, ::-1])
    grey = make_view(image, ViewSettings(size=16, grey=1.0), np.random.default_rng(0))
    assert (grey[..., :1] == grey).all()


def test_the_shape_is_the_same_for_any_image():
    for shape in ((8, 300, 3), (500, 9, 3), (64, 64, 3)):
        view = make_view(np.zeros(shape, np.uint8), ViewSettings(size=24, blur=1.0), np.random.default_rng(0))
        assert view.shape == (24, 24, 3)
        assert view.dtype == np.uint8


@pytest.mark.parametrize(
    "wrong", [{"size": 4}, {"crop_min": 0.0}, {"crop_min": 0.9, "crop_max": 0.5}, {"hue": 0.6}, {"grey": 2}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=r"views\."):
        ViewSettings(**wrong)
