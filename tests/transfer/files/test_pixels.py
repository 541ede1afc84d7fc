"""What the rule makes of each kind of file is in tests/test_one_decoder.py; here are the door and its parts."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from transfer.errors import InputError
from transfer.files import pixels

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def encoded(kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_file_is_read_whatever_its_suffix(tmp_path):
    (tmp_path / "x.txt").write_bytes(encoded())
    assert np.array_equal(pixels.read(tmp_path / "x.txt"), COLOUR)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "x.png is missing: expected a photo, found nothing; restore it"),
        (encoded()[:90], "x.png cannot be read: expected a photo, found OSError"),
        (b"", "expected a photo, found UnidentifiedImageError: cannot identify image file; restore or convert it"),
        (b"P6 65535 65535 255\n", "limit of 178956970 pixels"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(InputError) as error:
        pixels.read(tmp_path / "x.png", "a photo")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(InputError, match="cannot be read: expected an image, found Is a directory; check it"):
        pixels.read(tmp_path)


def test_a_header_alone_says_both_sizes():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded("JPEG", exif=exif.tobytes())
    start = turned[: turned.index(b"\xff\xda") + 64]
    assert pixels.sizes(start) == ((6, 9), (9, 6))
    assert pixels.sizes(encoded()) == ((9, 6), (9, 6))
    with pytest.raises(ValueError, match="UnidentifiedImageError"):
        pixels.sizes(b"no image")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_undo_what_a_camera_did(orientation):
    """Each is its own inverse but the two quarter turns, which undo each other."""
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    once = pixels.upright(COLOUR, orientation)
    assert np.array_equal(pixels.upright(once, inverse), COLOUR)
    assert once.flags.c_contiguous


def exif_directory(order, value, entries=1):
    packed = struct.pack(f"{order}HHHIHH", entries, 0x0112, 3, 1, value, 0)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8) + packed


@pytest.mark.parametrize("order", "<>")
def test_the_tag_in_both_byte_orders_and_what_is_no_orientation(order):
    assert [pixels.tiff_orientation(exif_directory(order, value)) for value in (1, 6, 8, 0, 9, 65535)] == [
        1,
        6,
        8,
        1,
        1,
        1,
    ]
    assert pixels.tiff_orientation(exif_directory(order, 6, entries=65535)) == 6
    assert pixels.tiff_orientation(exif_directory(order, 6)[:9]) == 1
    assert pixels.tiff_orientation(b"") == 1


def test_a_jpeg_that_is_cut_or_says_nothing_is_upright():
    assert pixels.jpeg_orientation(encoded("JPEG")) == 1
    assert pixels.jpeg_orientation(b"\xff\xd8\xff\xe1\xff\xff") == 1
    assert pixels.jpeg_orientation(b"") == 1
