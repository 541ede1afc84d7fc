import numpy as np

from transfer.drawing import painting


def test_a_sheet_covers_the_image_pixel_by_pixel():
    for width, height in ((1, 1), (37, 101), (640, 427), (1999, 3)):
        pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
        canvas = painting.Canvas(width, height)
        canvas.part(0, 0, width, height)
        np.testing.assert_array_equal(canvas.over(pixels), pixels)


def test_text_stands_on_its_ground_in_its_part_of_the_sheet_and_is_no_mathematics():
    canvas = painting.Canvas(300, 100)
    axes = canvas.part(100, 50, 150, 50)
    painting.draw_text(axes, "a $x$ $", (10, 10, 100, 20), canvas.point, ground="#ff0000", ink="#000000")
    drawn = canvas.over(np.full((100, 300, 3), 255, np.uint8))
    red = np.argwhere((drawn == [255, 0, 0]).all(axis=2))
    assert red.min(axis=0).tolist() == [60, 110]
    assert red.max(axis=0).tolist() == [79, 209]
    assert (drawn[60:80, 110:210] < 60).all(axis=2).sum() > 50


def test_nothing_leaves_its_part():
    canvas = painting.Canvas(100, 100)
    axes = canvas.part(0, 0, 50, 50)
    painting.draw_text(axes, "a" * 30, (20, 30, 200, 200), canvas.point, ground="#ff0000", ink="#000000")
    drawn = canvas.over(np.full((100, 100, 3), 255, np.uint8))
    rows, columns = np.nonzero((drawn < 255).any(axis=2))
    assert max(rows.max(), columns.max()) <= 50
