import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from transfer.drawing import layout, photograph
from transfer.drawing.photograph import Half
from transfer.drawing.selection import Selection, choose
from transfer.evaluation.instances import Instance

COLOURS = layout.colours(["zero", "one"])


def photo(height=120, width=160):
    rng = np.random.default_rng(0)
    return rng.integers(90, 160, (height, width, 3), np.uint8)


def box(x, y, w, h, score, label="zero"):
    return Instance(label, (x, y, w, h), None, score)


def changed(drawn, pixels):
    return np.abs(drawn.astype(int) - pixels).max(axis=2) > 0


def test_a_photograph_keeps_its_size_and_every_pixel_that_nothing_is_drawn_on():
    pixels = photo()
    drawn = photograph.draw(pixels, choose([box(100, 60, 40, 40, 0.9)], 0.5), COLOURS)
    assert drawn.shape == pixels.shape
    ys, xs = np.nonzero(changed(drawn, pixels))
    assert xs.min() in (97, 98)
    assert ys.max() in (101, 102)  # the box from 100 to 140, 60 to 100, its line and its halo
    assert ys.min() > 30  # its label above it


def test_the_fill_lies_where_the_mask_is():
    mask = np.zeros((120, 160), bool)
    mask[40:80, 50:90] = True
    pixels = photo()
    one = Instance("one", (50, 40, 40, 40), mask, 0.9)
    inside = np.abs(photograph.draw(pixels, Selection([one], 0), COLOURS).astype(int) - pixels).max(axis=2) > 10
    assert inside[44:76, 54:86].mean() > 0.95
    assert not inside[82:, :].any()
    assert not inside[:, 94:][40:].any()


@pytest.mark.parametrize("side", [200, 640, 3000])
def test_labels_and_lines_are_in_proportion_to_the_image(side):
    pixels = np.full((side, side, 3), 128, np.uint8)
    drawn = photograph.draw(pixels, Selection([box(side / 2, side / 2, side / 4, side / 4, 0.9)], 0), COLOURS)
    above = np.nonzero(changed(drawn, pixels)[: int(0.49 * side)])[0]
    height = side / 2 - above.min()
    assert 0.025 <= height / side <= max(0.04, 15 / side)


def test_where_nothing_reaches_the_limit_the_best_few_are_drawn_dimmed_and_the_picture_says_so():
    one = box(10, 10, 90, 60, 0.1)
    pixels = np.full((120, 160, 3), 128, np.uint8)
    strong = photograph.draw(pixels, Selection([one]), COLOURS).astype(int) - 128
    dim = photograph.draw(pixels, choose([one], 0.5), COLOURS).astype(int) - 128
    edge = np.s_[40, 8:12]  # the box's left side
    assert 0.2 < np.abs(dim[edge]).max() / np.abs(strong[edge]).max() < 0.7
    assert changed(dim + 128, pixels)[100:, :60].any()  # the words
    assert not changed(strong + 128, pixels)[100:, :60].any()


def test_a_picture_without_any_detection_says_so():
    choice = choose([], 0.5)
    pixels = photo()
    assert changed(photograph.draw(pixels, choice, COLOURS), pixels)[90:].any()
    assert not changed(photograph.draw(pixels, choice, COLOURS), pixels)[:90].any()


@pytest.mark.parametrize(
    ("size", "across", "down", "by"), [((600, 800), 2, 1, 1), ((300, 900), 1, 2, 1), ((100, 90), 2, 1, 4)]
)
def test_two_halves_use_the_page(size, across, down, by):
    pixels = np.full((*size, 3), 128, np.uint8)
    halves = [Half("ground truth: 1 object", Selection([], 0)), Half("a", Selection([box(5, 5, 60, 60, 0.9)], 0))]
    page = photograph.side_by_side(pixels, halves, COLOURS)
    photo_area = 2 * by * by * size[0] * size[1]
    assert page.shape[1] >= across * by * size[1]
    assert page.shape[0] >= down * by * size[0]
    assert photo_area / (page.shape[0] * page.shape[1]) > 0.85  # the rest is titles
    grey = (page == 128).all(axis=2)
    assert 0.9 * photo_area < grey.sum() <= photo_area


def test_titles_too_long_for_an_image_become_smaller():
    pixels = np.full((400, 300, 3), 128, np.uint8)
    page = photograph.side_by_side(pixels, [Half("a long title " * 9, Selection([], 0))], COLOURS)
    dark = np.nonzero((page < 100).all(axis=2))
    assert dark[1].max() < 300
    assert dark[1].max() > 200


@pytest.mark.parametrize(
    ("suffix", "kind", "exact"),
    [
        (".jpg", "JPEG", 2),
        (".JPEG", "JPEG", 2),
        (".png", "PNG", 0),
        (".webp", "WEBP", 4),
        (".bmp", "BMP", 0),
        (".tif", "TIFF", 0),
        (".ppm", "PPM", 0),
    ],
)
def test_a_drawing_has_the_format_of_its_name(suffix, kind, exact):
    pixels = np.repeat(np.repeat(photo(12, 16), 10, axis=0), 10, axis=1)
    with Image.open(io.BytesIO(photograph.encode(pixels, suffix))) as image:
        assert image.format == kind
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - pixels).mean() <= exact


def test_a_photographs_colour_profile_goes_along(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(photo()).save(tmp_path / "a.jpg", icc_profile=profile)
    Image.fromarray(photo()).convert("CMYK").save(tmp_path / "cmyk.jpg", icc_profile=profile)
    assert photograph.colour_profile(tmp_path / "a.jpg") == profile
    assert photograph.colour_profile(tmp_path / "cmyk.jpg") is None
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        encoded = photograph.encode(photo(), suffix, profile)
        with Image.open(io.BytesIO(encoded)) as image:
            assert image.info["icc_profile"] == profile
    assert photograph.encode(photo(), ".bmp", profile) == photograph.encode(photo(), ".bmp")


def test_every_image_has_a_place_of_its_own_inside_the_folder():
    files = ["a/1.jpg", "b/1.jpg", "1.jpg", "1.png", "../1.jpg", "/x/1.jpg", "raw.gif", "1-2.jpg", "../../1.jpg"]
    places = photograph.names(files)
    assert places[:4] == [Path(name) for name in files[:4]]
    assert places[4:] == [Path(n) for n in ("1-2.jpg", "x/1.jpg", "raw.gif.png", "1-2-2.jpg", "1-3.jpg")]
    assert len(set(places)) == len(files)
