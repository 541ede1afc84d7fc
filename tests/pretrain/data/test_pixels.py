"""Decoding, against Pillow, whose authors are others and whose JPEG library is another build."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from pretrain.data.pixels import REDUCED_EIGHTHS, decode, read_header, read_image


@pytest.fixture(scope="module")
def photograph():
    from sklearn.datasets import load_sample_images

    return load_sample_images().images[0][:240, :321]  # a width that no scale divides


def jpeg(image, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", **{"quality": 95, **options})
    return buffer.getvalue()


def test_a_jpeg_is_decoded_as_pillow_does(photograph):
    encoded = jpeg(photograph)
    header = read_header(encoded)
    assert header.size == (240, 321)
    theirs = np.asarray(Image.open(io.BytesIO(encoded)))
    assert np.abs(decode(encoded, header).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_upright(photograph, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "another entry before it"
    encoded = jpeg(photograph, exif=exif.tobytes())
    header = read_header(encoded)
    theirs = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))))
    for ours in (decode(encoded, header), decode(encoded)):  # libjpeg-turbo, and OpenCV's own reading of EXIF
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs).mean() < 1
    assert header.size == theirs.shape[:2]


@pytest.mark.parametrize("eighths", REDUCED_EIGHTHS)
def test_a_reduced_scale_is_the_picture_made_smaller(photograph, eighths):
    encoded = jpeg(photograph)
    small = decode(encoded, read_header(encoded), eighths)
    size = (-(-240 * eighths // 8), -(-321 * eighths // 8))
    assert small.shape[:2] == size
    whole = np.pad(photograph, ((0, 0), (0, 7), (0, 0)), mode="edge")  # blocks of eight pixels, as JPEG has them
    theirs = cv2.resize(whole, None, fx=eighths / 8, fy=eighths / 8, interpolation=cv2.INTER_AREA)[:, : size[1]]
    # A mean absolute difference of a few levels: the DCT's low-pass is not the area filter, nothing is displaced.
    assert np.abs(small.astype(int) - theirs).mean() < 4
    assert np.abs(small.astype(int) - np.roll(theirs, 1, axis=1)).mean() > 5


def test_bytes_that_end_too_early_are_no_image(photograph):
    encoded = jpeg(photograph)
    for cut in (len(encoded) // 2, len(encoded) - 40):
        assert decode(encoded[:cut], read_header(encoded[:cut])) is None
    for eighths in REDUCED_EIGHTHS:
        assert decode(encoded[: len(encoded) // 2], read_header(encoded), eighths) is None


def test_harmless_stray_bytes_are_read_over(photograph):
    encoded = jpeg(photograph)
    for odd in (encoded + b"trailer", encoded[:-2] + b"\0\0\0\0" + encoded[-2:]):
        assert decode(odd, read_header(odd)).shape == photograph.shape


def test_cmyk_and_grey_jpegs_become_rgb(photograph):
    buffer = io.BytesIO()
    Image.fromarray(photograph).convert("CMYK").save(buffer, "JPEG", quality=95)
    ours = decode(buffer.getvalue(), read_header(buffer.getvalue()))
    assert np.abs(ours.astype(int) - photograph).mean() < 6
    grey = jpeg(photograph[..., 1])
    ours = decode(grey, read_header(grey))
    assert (ours[..., :1] == ours).all()


def test_what_is_no_image_is_none(tmp_path):
    for content in (
        b"",
        b"\xff\xd8 not an image",
        b"GIF89a",
        b"\xff\xd8\xff\xe1\xff\xff" + b"Exif\0\0MM" + b"\xff" * 40,
    ):
        assert decode(content, read_header(content)) is None
        (tmp_path / "x.jpg").write_bytes(content)
        assert read_image(tmp_path / "x.jpg") is None


def test_images_are_read_as_rgb_and_tiny_ones_are_none(tmp_path):
    blue_in_bgr = np.zeros((10, 10, 3), np.uint8)
    blue_in_bgr[..., 0] = 255
    cv2.imwrite(str(tmp_path / "blue.png"), blue_in_bgr)
    assert read_image(tmp_path / "blue.png")[0, 0].tolist() == [0, 0, 255]
    cv2.imwrite(str(tmp_path / "tiny.png"), np.zeros((3, 30, 3), np.uint8))
    assert read_image(tmp_path / "tiny.png") is None
