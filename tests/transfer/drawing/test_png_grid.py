import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from transfer.drawing import png_grid
from transfer.evaluation.instances import Instance


def picture(instances, n_rows=1, titles=("ground truth", "run")):
    image = np.full((50, 60, 3), 128, dtype=np.uint8)
    rows = [png_grid.Row(f"{i}.jpg", image, [instances] * len(titles)) for i in range(n_rows)]
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
    assert count(with_zero, png_grid.PALETTE[0]) > count(empty, png_grid.PALETTE[0]) + 200
    assert count(with_one, png_grid.PALETTE[1]) > count(empty, png_grid.PALETTE[1]) + 200
    assert abs(count(with_zero, png_grid.PALETTE[1]) - count(empty, png_grid.PALETTE[1])) < 40


def test_the_fill_lies_where_the_mask_is():
    instance = Instance("zero", (20, 20, 30, 20), mask(np.s_[20:40, 20:50]))
    changed = np.abs(picture([instance], titles=("only",)) - picture([], titles=("only",))).max(axis=2) > 30
    cell = np.argwhere(changed)
    # The cell is 2.45 inches of 100 pixels wide for 60 image pixels: the mask is 30 of them wide, 20 high.
    spread = cell[:, 1].max() - cell[:, 1].min()
    assert spread == pytest.approx(245 * 30 / 60, abs=8)


def test_objects_without_a_mask_get_their_box_and_empty_masks_nothing():
    box = Instance("zero", (10, 10, 20, 20), None, 0.5)
    assert count(picture([box]), png_grid.PALETTE[0]) > count(picture([]), png_grid.PALETTE[0]) + 100
    picture([Instance("zero", (10, 10, 20, 20), mask(np.s_[0:0, 0:0]), 0.5)])


def test_the_same_input_gives_the_same_bytes_of_a_predictable_size():
    instance = Instance("one", (0, 0, 60, 50), mask(np.s_[:, :]), 1.0)
    first = picture([instance], 3)
    np.testing.assert_array_equal(first, picture([instance], 3))
    assert first.shape[1] == 2 * 250
    assert 3 * 250 < first.shape[0] < 3 * 250 + 120


def test_labels_in_the_same_place_are_moved_apart():
    instances = [Instance("zero", (10, 10, 20, 20), None, 0.5), Instance("zero", (11, 10, 20, 20), None, 0.6)]
    (_, first), (_, second) = png_grid._label_places(instances, 60, 50)
    assert second - first >= 0.075 * 50 - 1e-9


def test_no_display_and_no_pyplot_is_needed():
    code = "import sys, transfer.drawing.png_grid; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
