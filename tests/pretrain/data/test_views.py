"""The views' distribution, against torchvision's transforms where it has the same one."""

import cv2
import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as transforms
import torchvision.transforms.v2.functional as reference
from scipy.stats import ks_2samp

from pretrain.data import views
from pretrain.data.views import ViewSettings, crop_box, eighths_for, make_view, make_views, resampled, scaled_box
from pretrain.errors import InputError


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


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.05, 1.3, 1.7, 2.0, 2.3, 3.0, 3.6, 4.9, 6.5])
def test_crops_are_resampled_as_torchvision_does(photograph, ratio):
    """Nearer than OpenCV's area filter is, in pixels and in the strength of fine detail."""
    height, width = round(64 * ratio), round(64 * ratio * 0.9)
    errors = []
    for top, left in ((0, 5), (8, 200), (3, 250)):
        crop = torch.from_numpy(photograph)[top : top + height, left : left + width].permute(2, 0, 1)
        theirs = reference.resize(crop, [64, 64], antialias=True).permute(1, 2, 0).numpy()
        ours = resampled(photograph, (top, left, height, width), 64)
        errors.append((np.abs(ours.astype(int) - theirs).mean(), statistics(ours)[3] - statistics(theirs)[3]))
    difference, detail = np.mean(errors, axis=0)
    assert difference < (3 if ratio > 5 else 1.2)
    assert abs(detail) < (0.25 if ratio > 5 else 0.09)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_views_of_a_jpeg_are_those_of_the_whole_picture(photograph, size):
    """Decoding small changes where pixels come from by less than one of the view's, and nothing else."""
    encoded = cv2.imencode(".jpg", photograph[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    s, reduced = ViewSettings(size=size, jitter=0, grey=0), 0
    for seed in range(20):
        rngs = [np.random.default_rng((seed, view)) for view in range(2)]
        ours = make_views(encoded, s, rngs)
        again = [np.random.default_rng((seed, view)) for view in range(2)]
        boxes = [crop_box(*photograph.shape[:2], s, np.random.default_rng((seed, view))) for view in range(2)]
        reduced += eighths_for(boxes, size) < 8
        for view, rng in zip(ours, again, strict=True):
            whole = make_view(photograph, s, rng)
            detail = np.abs(whole.astype(int) - np.roll(whole, 1, axis=1)).mean()  # one pixel's displacement
            assert np.abs(view.astype(int) - whole).mean() < max(0.75 * detail, 4)
    assert reduced > 5


def test_views_are_as_sharp_and_colourful_as_torchvisions(photograph):
    """Mean, contrast and sharpness of whole views beside the reference's, decoding included."""
    encoded = cv2.imencode(".jpg", photograph[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    s = ViewSettings(size=64, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, blur=0.5)
    torch.manual_seed(0)
    theirs_of = transforms.Compose(
        [
            transforms.RandomResizedCrop(64, antialias=True),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.ColorJitter(0.8, 0.8, 0.8, 0.2)], 0.8),
            transforms.RandomGrayscale(0.2),
            transforms.RandomApply([transforms.GaussianBlur(7, (0.1, 2.0))], 0.5),
        ]
    )
    tensor = torch.from_numpy(photograph).permute(2, 0, 1)
    theirs = np.array([statistics(theirs_of(tensor).permute(1, 2, 0).numpy()) for _ in range(400)])
    rngs = [np.random.default_rng((7, k)) for k in range(400)]
    ours = np.array([statistics(view) for k in range(0, 400, 2) for view in make_views(encoded, s, rngs[k : k + 2])])
    for k, name in enumerate(("mean", "contrast", "colour", "sharpness")):
        error = np.hypot(ours[:, k].std(), theirs[:, k].std()) / np.sqrt(400)
        assert abs(ours[:, k].mean() - theirs[:, k].mean()) < 4 * error, name
        assert ks_2samp(ours[:, k], theirs[:, k]).pvalue > 1e-3, name


def statistics(view):
    """Mean, contrast, distance of the channels and log energy of the fine detail of one view."""
    values = view.astype(np.float64)
    detail = np.abs(np.diff(values, axis=0)).mean() + np.abs(np.diff(values, axis=1)).mean()
    return values.mean(), values.mean(axis=2).std(), np.ptp(values, axis=2).mean(), np.log(detail + 1)


def test_no_crop_is_decoded_smaller_than_the_view():
    rng, s = np.random.default_rng(0), ViewSettings(size=64)
    orders = set()
    for _ in range(300):
        boxes = [crop_box(375, 500, s, rng) for _ in range(2)]
        eighths = eighths_for(boxes, 64)
        orders.add(eighths)
        for box in boxes:
            _, _, height, width = scaled_box(box, eighths, (375, 500))
            assert eighths == 8 or min(height, width) >= 63  # less one for rounding
    assert orders == {2, 3, 4, 8} or orders == {1, 2, 3, 4, 8}


def test_a_scaled_crop_stays_inside():
    rng, s = np.random.default_rng(0), ViewSettings(size=64)
    for _ in range(300):
        top, left, height, width = scaled_box(crop_box(375, 501, s, rng), 1, (47, 63))
        assert top >= 0
        assert left >= 0
        assert top + height <= 47
        assert left + width <= 63


def test_undecodable_and_tiny_images_have_no_views(monkeypatch):
    rngs = [np.random.default_rng(k) for k in range(2)]
    tiny = cv2.imencode(".jpg", np.zeros((7, 50, 3), np.uint8))[1].tobytes()
    small = cv2.imencode(".png", np.zeros((7, 50, 3), np.uint8))[1].tobytes()
    assert [make_views(e, ViewSettings(size=16), rngs) for e in (b"", b"no image", tiny, small)] == [None] * 4
    monkeypatch.setattr(views, "decode", lambda *_: pytest.fail("a tiny JPEG is known by its header"))
    assert make_views(tiny, ViewSettings(size=16), rngs) is None


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
    "wrong",
    [
        {"size": 4},
        {"crop_min": 0.0},
        {"crop_min": 0.9, "crop_max": 0.5},
        {"hue": 0.6},
        {"grey": 2},
        {"blur_min": 3.0},
        {"blur_min": 0.0, "blur_max": 0.0},
        {"colour": "gpu"},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=r"views\."):
        ViewSettings(**wrong)
