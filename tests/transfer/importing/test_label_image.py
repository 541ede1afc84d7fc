import numpy as np
import pytest
from PIL import Image

from transfer.errors import InputError
from transfer.importing.label_image import apart, read_label_image

VALUES = np.array([[0, 1, 1], [0, 200, 7]])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32])
def test_whole_numbers_come_back_as_they_are(tmp_path, kind):
    Image.fromarray(VALUES.astype(kind)).save(tmp_path / "a.tif")
    assert read_label_image(tmp_path / "a.tif").tolist() == VALUES.tolist()


def test_a_palettes_indices_not_its_colours(tmp_path):
    image = Image.fromarray(VALUES.astype(np.uint8)).convert("P")
    image.putpalette([9, 9, 9] * 256)
    image.save(tmp_path / "a.png")
    assert read_label_image(tmp_path / "a.png").tolist() == VALUES.tolist()


def test_each_colour_is_a_number_and_black_is_none(tmp_path):
    colours = np.array([[[0, 0, 0, 255], [1, 2, 3, 255]], [[1, 2, 3, 9], [255, 255, 255, 0]]], np.uint8)
    for image in (Image.fromarray(colours), Image.fromarray(colours[..., :3])):
        image.save(tmp_path / "a.png")
        assert read_label_image(tmp_path / "a.png").tolist() == [[0, 0x010203], [0x010203, 0xFFFFFF]]


def test_black_and_white_and_grey_with_transparency(tmp_path):
    Image.fromarray(VALUES > 0).save(tmp_path / "a.png")
    assert read_label_image(tmp_path / "a.png").tolist() == (VALUES > 0).tolist()
    Image.merge("LA", [Image.fromarray(VALUES.astype(np.uint8))] * 2).save(tmp_path / "b.png")
    assert read_label_image(tmp_path / "b.png").tolist() == VALUES.tolist()


def test_what_is_no_label_image_is_one_line(tmp_path):
    Image.fromarray(np.array([[0.5, 1]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="expected whole numbers as values, found fractions"):
        read_label_image(tmp_path / "a.tif")
    (tmp_path / "b.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"b.png cannot be read: expected a mask"):
        read_label_image(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"c.png is missing"):
        read_label_image(tmp_path / "c.png")


def test_areas_that_touch_at_a_corner_are_one():
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]])
    assert [part.sum() for part in apart(mask)] == [2, 2]
