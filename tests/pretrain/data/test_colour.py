"""What is drawn for a view's colours, and each operation on bytes against torchvision's."""

import cv2
import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as transforms
import torchvision.transforms.v2.functional as reference
from PIL import Image, ImageOps

from pretrain.data.colour import Colour, blur, coloured
from pretrain.data.views import ViewSettings, crop_box, make_view, make_views, resampled, sample_colour, sample_jitter


@pytest.mark.parametrize("channel", range(3))
def test_jittered_colours_are_distributed_as_torchvisions(image, channel):
    s, rng = ViewSettings(), np.random.default_rng(0)
    torch.manual_seed(0)
    reference, tensor = transforms.ColorJitter(0.4, 0.4, 0.4, 0.1), torch.from_numpy(image).permute(2, 0, 1)
    ours = [jitter(image, s, rng)[..., channel].mean() for _ in range(400)]
    theirs = [float(reference(tensor)[channel].float().mean()) for _ in range(400)]
    assert abs(np.mean(ours) - np.mean(theirs)) < 4 * np.std(theirs) / np.sqrt(200)
    assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.2)


def jitter(image, settings, rng):
    return coloured(image, Colour(sample_jitter(settings, rng)))


def jittered(image, **only):
    """The image after one operation, and the factor that it was drawn with."""
    amounts = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0) | only

    class Fixed:
        def permutation(self, n):
            return np.arange(n)

        def uniform(self, low, high):
            return low + 0.2 * (high - low)

    (name, amount) = next(iter(only.items()))
    factor = Fixed().uniform(-amount, amount) if name == "hue" else Fixed().uniform(1 - amount, 1 + amount)
    return jitter(image, ViewSettings(**amounts), Fixed()), factor


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_each_operation_is_torchvisions(photograph, name):
    ours, factor = jittered(photograph, **{name: 0.3})
    tensor = torch.from_numpy(photograph).permute(2, 0, 1)
    theirs = getattr(reference, f"adjust_{name}")(tensor, factor).permute(1, 2, 0).numpy()
    difference = np.abs(ours.astype(int) - theirs)
    # Rounding once or twice; the hue of bytes comes in 256 steps, up to three levels of a channel.
    assert difference.mean() < (1.0 if name == "hue" else 0.6)
    assert np.percentile(difference, 99) <= (4 if name == "hue" else 1)
    assert np.abs(photograph.astype(int) - theirs).mean() > 3 * max(difference.mean(), 0.5)


@pytest.mark.parametrize("sigma", [0.1, 0.24, 0.7, 1.3, 2.0])
@pytest.mark.parametrize("size", [32, 64, 224])
def test_blur_is_torchvisions_with_a_kernel_of_a_tenth(photograph, sigma, size):
    side = max(3, int(0.1 * size) | 1)
    tensor = torch.from_numpy(photograph).permute(2, 0, 1)
    theirs = reference.gaussian_blur(tensor, [side, side], [sigma, sigma]).permute(1, 2, 0).numpy()
    assert np.abs(blur(photograph, sigma, size).astype(int) - theirs).max() <= 2
    assert np.abs(blur(photograph, sigma, size).astype(int) - theirs).mean() < 0.5


def in_turn(view, s, rng):
    """Each operation drawn when its turn comes, and done before the next one is drawn."""
    if rng.random() < s.flip:
        view = cv2.flip(view, 1)
    if rng.random() < s.jitter:
        for operation in rng.permutation(4).tolist():
            name = ("brightness", "contrast", "saturation", "hue")[operation]
            if reach := getattr(s, name):
                centre = 0 if name == "hue" else 1
                view = by_opencv(view, name, rng.uniform(centre - reach, centre + reach))
    if rng.random() < s.grey:
        view = by_opencv(view, "grey", 0.0)
    if rng.random() < s.blur:
        view = blur(view, rng.uniform(s.blur_min, s.blur_max), s.size)
    return view


def by_opencv(view, name, amount):
    if name == "hue":
        hsv = cv2.cvtColor(view, cv2.COLOR_RGB2HSV_FULL)
        hsv[..., 0] += np.uint8(round(amount * 256) % 256)
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
    grey = cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if name == "contrast":
        mean = float(np.dot(cv2.mean(view)[:3], np.array([0.299, 0.587, 0.114])))
        return cv2.addWeighted(view, amount, view, 0.0, (1 - amount) * mean)
    if name == "brightness":
        return cv2.addWeighted(view, amount, view, 0.0, 0.0)
    return grey if name == "grey" else cv2.addWeighted(view, amount, grey, 1 - amount, 0.0)


@pytest.mark.parametrize(
    "chosen",
    [
        {"size": 64},
        {"size": 32, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2, "blur": 0.5},
        {"size": 48, "jitter": 1.0, "hue": 0.0, "brightness": 0.0, "grey": 0.5, "blur": 1.0, "flip": 1.0},
    ],
)
def test_drawing_everything_first_changes_no_byte(photograph, chosen):
    s = ViewSettings(**chosen)
    for seed in range(100):
        rng, again = (np.random.default_rng((3, seed)) for _ in range(2))
        box = crop_box(*photograph.shape[:2], s, again)
        assert np.array_equal(make_view(photograph, s, rng), in_turn(resampled(photograph, box, s.size), s, again))
        assert rng.random() == again.random()  # nothing drawn more, nothing less


def test_the_colours_are_drawn_as_often_as_the_settings_say():
    s, rng = ViewSettings(jitter=0.8, grey=0.2, blur=0.5, hue=0.0), np.random.default_rng(0)
    rows = np.array([sample_colour(s, rng).row() for _ in range(2000)])
    shares = [(rows[:, :5] == k).any(axis=1).mean() for k in range(5)]
    assert shares == pytest.approx([0.8, 0.8, 0.8, 0.0, 0.2], abs=0.04)
    assert (rows[:, 10] >= s.blur_min).mean() == pytest.approx(0.5, abs=0.05)
    assert (rows[:, 10] == -1).sum() + (rows[:, 10] >= s.blur_min).sum() == len(rows)


def test_the_second_view_has_probabilities_of_its_own():
    """BYOL's pair (Grill et al. 2020, table 6): blur 1.0 and 0.1, solarisation 0 and 0.2."""
    s, rng = ViewSettings(blur=1.0, second_blur=0.1, second_solarise=0.2), np.random.default_rng(0)
    for second, expected in ((False, (1.0, 0.0)), (True, (0.1, 0.2))):
        rows = np.array([sample_colour(s, rng, second=second).row() for _ in range(2000)])
        assert [(rows[:, 10] >= 0).mean(), rows[:, 11].mean()] == pytest.approx(expected, abs=0.03)


def test_solarisation_is_pillows(photograph):
    expected = ImageOps.solarize(Image.fromarray(photograph), 128)
    found = coloured(photograph[:256, :256], Colour(solarise=True))
    assert np.array_equal(found, np.array(expected)[:256, :256])


def test_two_views_of_an_image_are_a_first_and_a_second_one(photograph):
    """With everything else off, the second view is the first one solarised."""
    still = {"crop_min": 1.0, "ratio": 1.0, "flip": 0.0, "jitter": 0.0, "grey": 0.0}
    s, square = ViewSettings(size=64, **still, second_solarise=1.0), np.ascontiguousarray(photograph[:256, :256])
    first, second = make_views(cv2.imencode(".png", square)[1].tobytes(), s, [np.random.default_rng(0)] * 2)
    assert np.array_equal(second, coloured(first, Colour(solarise=True)))
    assert not np.array_equal(first, second)
    alone = make_view(square, s, np.random.default_rng(0), second=True)
    assert np.array_equal(alone, coloured(make_view(square, s, np.random.default_rng(0)), Colour(solarise=True)))
