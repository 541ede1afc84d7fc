"""The batched colour work beside OpenCV's on bytes and torchvision's on floats; alone, in batches and in a training."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference

from pretrain.data import device_colour
from pretrain.data.colour import Colour, Operation, coloured, largest_radius
from pretrain.data.views import ViewSettings, sample_view
from pretrain.settings.schema import load_settings
from pretrain.training import changes
from tests.cases.pretrainings import start

STRONG = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2, "blur": 0.5}
SIZES = [32, 64, 224]
# Mean and largest difference to the bytes, levels. These round at each step, and store hue in 256 steps and saturation
# in bytes of whatever the largest channel is: coarse in the dark.
CLOSE = {Operation.HUE: (0.5, 14)}
ROUNDED = (0.3, 1.5)


@pytest.fixture(scope="module")
def photographs():
    from sklearn.datasets import load_sample_images

    return [image.copy() for image in load_sample_images().images]  # they come read-only


@pytest.fixture(scope="module")
def drawn(photographs):
    """size -> 24 views before their colour work, and what was drawn for them."""
    errors = {}
    for size in SIZES:
        s, rngs = ViewSettings(size=size, **STRONG), [np.random.default_rng((size, k)) for k in range(24)]
        errors[size] = [sample_view(photographs[k % 2], s, rng) for k, rng in enumerate(rngs)]
    return errors


def on_device(views, colours, device="cpu"):
    """(N, size, size, 3) floats of views and their colours, by way of the tensors of a batch."""
    pixels = torch.from_numpy(np.stack(views))[None].permute(0, 1, 4, 2, 3).to(device)
    rows = torch.from_numpy(np.stack([colour.row() for colour in colours]))[None]
    return device_colour.coloured(pixels, rows)[0].permute(0, 2, 3, 1).cpu().numpy()


def differences(views, colours):
    """To OpenCV's bytes, (N, size, size, 3), levels."""
    bytes_ = np.stack([coloured(view, colour) for view, colour in zip(views, colours, strict=True)])
    return np.abs(on_device(views, colours) - bytes_)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("operation", Operation)
def test_each_operation_is_opencvs(drawn, size, operation):
    views, rng = [view for view, _ in drawn[size]], np.random.default_rng(1)
    low, high = {Operation.HUE: (-0.5, 0.5), Operation.GREY: (0, 0)}.get(operation, (0.2, 1.8))
    colours = [Colour(((operation, rng.uniform(low, high)),)) for _ in views]
    errors, (mean, largest) = differences(views, colours), CLOSE.get(operation, ROUNDED)
    assert errors.mean() < mean
    assert errors.max() < largest
    assert np.abs(on_device(views, colours) - np.stack(views)).mean() > 5


@pytest.mark.parametrize("size", SIZES)
def test_blur_is_opencvs(drawn, size):
    views = [view for view, _ in drawn[size]]
    errors = differences(views, [Colour((), sigma) for sigma in np.linspace(0.1, 3, len(views))])
    assert errors.mean() < ROUNDED[0]
    assert errors.max() < ROUNDED[1]


@pytest.mark.parametrize("size", SIZES)
def test_solarisation_is_opencvs(drawn, size):
    views = [view for view, _ in drawn[size]]
    assert differences(views, [Colour(solarise=bool(k % 2)) for k in range(len(views))]).max() == 0


@pytest.mark.parametrize("size", SIZES)
def test_chains_are_opencvs(drawn, size):
    """Whole views: what one step rounds, the next one may stretch."""
    errors = differences(*zip(*drawn[size], strict=True))
    assert errors.mean() < 0.6
    assert errors.mean(axis=(1, 2, 3)).max() < 2.5
    assert np.percentile(errors, 99) < 5
    assert errors.max() < 25


@pytest.mark.parametrize("operation", [o for o in Operation if o != Operation.GREY])
def test_each_operation_is_torchvisions_on_floats(drawn, operation):
    name, amount = operation.name.lower(), -0.31 if operation == Operation.HUE else 1.6
    views = [view for view, _ in drawn[64]]
    pixels = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).double() / 255
    theirs = getattr(reference, f"adjust_{name}")(pixels, amount).permute(0, 2, 3, 1).numpy() * 255
    errors = np.abs(on_device(views, [Colour(((operation, amount),))] * len(views)) - theirs)
    assert errors.max() < 0.03  # its luma has 0.2989 for red


@pytest.mark.parametrize("sigma", [0.1, 0.4, 0.5, 1.3, 2.0, 9.0])
@pytest.mark.parametrize("size", SIZES)
def test_blur_is_torchvisions_on_floats(drawn, size, sigma):
    views, others = [view for view, _ in drawn[size][:3]], [0.1, sigma, 2.0]  # a wider kernel beside it
    side = 2 * min(largest_radius(size), max(1, round(3 * sigma))) + 1
    pixels = torch.from_numpy(views[1]).permute(2, 0, 1).double()
    theirs = reference.gaussian_blur(pixels, [side, side], [sigma, sigma]).permute(1, 2, 0).numpy()
    ours = on_device(views, [Colour((), s) for s in others])[1]
    assert np.abs(ours - theirs).max() < 1e-3


def test_no_colour_work_leaves_the_pixels_alone(drawn):
    views = [view for view, _ in drawn[32]]
    work = [Colour()] * 12 + [Colour(((Operation.HUE, 0.2), (Operation.CONTRAST, 0.3)), 2.0)] * 12
    pixels = on_device(views, work)
    assert np.array_equal(pixels[:12], np.stack(views[:12]))
    assert (pixels[12:] != np.stack(views[12:])).any(axis=(1, 2, 3)).all()
    batch = torch.zeros(2, 3, 8, 8, 3, dtype=torch.uint8).permute(0, 1, 4, 2, 3)
    out = device_colour.coloured(batch, torch.from_numpy(np.stack([Colour().row()] * 6)).view(2, 3, -1))
    assert out.shape == batch.shape
    assert out.dtype == torch.float32
    assert out[0].is_contiguous(memory_format=torch.channels_last)


def test_each_operation_saturates_before_the_next():
    view = np.zeros((16, 16, 3), np.uint8)
    view[:8] = 200
    work = Colour(((Operation.BRIGHTNESS, 2.0), (Operation.CONTRAST, 0.5)))
    assert on_device([view], [work])[0, :, 0, 0].tolist() == pytest.approx([191.25] * 8 + [63.75] * 8)


def test_extremes_stay_in_range():
    rng, order = np.random.default_rng(0), list(Operation)
    views = [rng.integers(0, 2, (16, 16, 3), np.uint8) * 255 for _ in range(20)]
    views += [np.full((16, 16, 3), level, np.uint8) for level in (0, 1, 128, 254, 255)]
    for seed in range(10):
        rng, sigma = np.random.default_rng(seed), (None, 0.0)[seed % 2]
        work = [
            Colour(
                tuple((order[k], rng.choice([-0.5, 0.5]) if k == 3 else rng.choice([0.0, 2.0])) for k in chosen),
                sigma,
            )
            for chosen in (rng.permutation(4) for _ in views)
        ]
        pixels = on_device(views, work)
        assert np.isfinite(pixels).all()
        assert pixels.min() >= 0
        assert pixels.max() <= 255


@pytest.mark.parametrize("size", SIZES)
def test_an_image_is_the_same_to_the_bit_in_any_batch(drawn, size):
    views, colours = zip(*drawn[size], strict=True)
    whole, threads = on_device(views, colours), torch.get_num_threads()
    for parts in (1, 7):
        cut = [on_device(views[k : k + parts], colours[k : k + parts]) for k in range(0, len(views), parts)]
        assert np.array_equal(np.concatenate(cut), whole)
    assert np.array_equal(on_device(views[::-1], colours[::-1])[::-1], whole)
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        assert np.array_equal(on_device(views, colours), whole)
    finally:
        torch.set_num_threads(threads)


def batch_of(drawn, step):
    """Six images of 32 pixels as `pretrain.data.two_views.collate` gives them."""
    views, colours = zip(*drawn[32][step : step + 12], strict=True)
    return {
        "views": torch.from_numpy(np.stack(views)).view(2, 6, 32, 32, 3).permute(0, 1, 4, 2, 3),
        "colour": torch.from_numpy(np.stack([colour.row() for colour in colours])).view(2, 6, -1),
    }


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_is_that_on_images_whose_colours_are_done(drawn, accumulate):
    """Cut into micro-batches or not; the last bits too."""
    optimizer = {"lr": 0.01, "accumulate": accumulate}
    models = [start("metamask", optimizer=optimizer, views={"size": 32, "colour": "device"}) for _ in range(2)]
    for step in range(2):
        data = batch_of(drawn, step)
        done = {"views": device_colour.coloured(data["views"], data["colour"])}
        logs = [
            model.train_step(given, optimizers) for (model, optimizers), given in zip(models, (data, done), strict=True)
        ]
        assert all(torch.equal(logs[0][name], logs[1][name]) for name in logs[1])
    bare, optimizers = start("metamask", optimizer=optimizer)
    assert bare.train_step({"views": batch_of(drawn, 0)["views"]}, optimizers)["loss"] != logs[0]["loss"]


def test_another_hand_for_the_colours_is_a_change_that_matters():
    images = {"path": "images", "images": 1, "fingerprint": "0"}
    before, now = (changes.run_record(load_settings({"views": views}), images) for views in ({}, {"colour": "device"}))
    del before["settings"]["views"]["colour"]  # a run that is older than the setting
    (change,) = changes.changes(before, now)
    assert (str(change), change.matters) == ("views.colour (loader then, device now)", True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("size", SIZES)
def test_cudas_views_are_the_cpus(drawn, size):
    views, colours = zip(*drawn[size], strict=True)
    pixels = on_device(views, colours, "cuda")
    difference = np.abs(pixels - on_device(views, colours))
    assert difference.mean() < 1e-3
    assert difference.max() < 0.05
    assert np.array_equal(on_device(views, colours, "cuda"), pixels)
