import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from transfer.drawing import layout, png_grid
from transfer.drawing.selection import Selection
from transfer.evaluation.instances import Instance


def picture(instances, n_rows=1, titles=("ground truth", "run")):
    image = np.full((50, 60, 3), 128, dtype=np.uint8)
    rows = [png_grid.GridRow(f"{i}.jpg", image, [Selection(instances)] * len(titles)) for i in range(n_rows)]
    png = png_grid.detections_png(rows, list(titles), ["zero", "one"], "caption")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def mask(window):
    filled = np.zeros((50, 60), dtype=bool)
    filled[window] = True
    return filled


def count(pixels, colour, tolerance=12):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(pixels - wanted).max(axis=2) <= tolerance).sum()


def test_each_class_has_its_own_colour_and_one_object_adds_its_contour():
    zero = Instance("zero", (10, 10, 20, 20), mask(np.s_[10:30, 10:30]), 0.9)
    one = Instance("one", (10, 10, 20, 20), mask(np.s_[10:30, 10:30]), 0.9)
    empty, with_zero, with_one = picture([]), picture([zero]), picture([one])
    assert count(with_zero, layout.PALETTE[0]) > count(empty, layout.PALETTE[0]) + 200
    assert count(with_one, layout.PALETTE[1]) > count(empty, layout.PALETTE[1]) + 200
    assert abs(count(with_zero, layout.PALETTE[1]) - count(empty, layout.PALETTE[1])) < 40


def test_the_fill_lies_where_the_mask_is():
    instance = Instance("zero", (20, 20, 30, 20), mask(np.s_[20:40, 20:50]))
    changed = np.abs(picture([instance], titles=("only",)) - picture([], titles=("only",))).max(axis=2) > 30
    cell = np.argwhere(changed)
    # The cell is that wide for 60 image pixels: the mask is 30 of them wide.
    spread = cell[:, 1].max() - cell[:, 1].min()
    assert spread == pytest.approx(png_grid.CELL * png_grid.DPI * 30 / 60, abs=8)


def test_objects_without_a_mask_get_their_box_and_empty_masks_nothing():
    box = Instance("zero", (10, 10, 20, 20), None, 0.5)
    assert count(picture([box]), layout.PALETTE[0]) > count(picture([]), layout.PALETTE[0]) + 100
    picture([Instance("zero", (10, 10, 20, 20), mask(np.s_[0:0, 0:0]), 0.5)])


def test_the_same_input_gives_the_same_bytes_of_a_predictable_size():
    instance = Instance("one", (0, 0, 60, 50), mask(np.s_[:, :]), 1.0)
    first = picture([instance], 3)
    np.testing.assert_array_equal(first, picture([instance], 3))
    cell = png_grid.CELL * png_grid.DPI
    assert 2 * cell < first.shape[1] < 2.2 * cell
    assert 3 * cell * 50 / 60 < first.shape[0] < 3 * cell * 50 / 60 + 240


def test_names_titles_and_captions_stand_beside_the_images():
    # Nothing but the photograph's grey is inside the cells of images without objects.
    pixels = picture([], n_rows=2)
    grey = np.abs(pixels - 128).max(axis=2) <= 2
    side = round(png_grid.CELL * png_grid.DPI)
    assert grey.sum() == pytest.approx(4 * side * side * 50 / 60, rel=0.02)


def test_wide_and_tall_images_keep_their_proportions():
    for height, width in ((50, 200), (200, 50)):
        image = np.full((height, width, 3), 128, dtype=np.uint8)
        png = png_grid.detections_png([png_grid.GridRow("a", image, [Selection([])])], ["only"], ["zero"], "caption")
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        rows, columns = np.nonzero(np.abs(pixels - 128).max(axis=2) <= 2)
        tall, wide = (np.percentile(v, 99.5) - np.percentile(v, 0.5) for v in (rows, columns))
        assert tall / wide == pytest.approx(height / width, rel=0.05)


def test_a_long_legend_is_broken_into_lines():
    names = [f"a class with a name, {i}" for i in range(20)]
    lines = png_grid._legend_lines(names, 5.0)
    assert [name for line in lines for _, name in line] == names
    assert len(lines) > 5
    assert all(x + png_grid._LETTER * len(name) < 5.0 for line in lines for x, name in line)


def test_no_display_and_no_pyplot_is_needed():
    code = "import sys, transfer.drawing.png_grid; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
