import pytest
import torch
from PIL import Image

from transfer.conversion import proof_images
from transfer.errors import InputError


def test_images_from_a_folder_are_pixels_in_rgb(tmp_path):
    Image.new("RGB", (9, 9), (255, 128, 3)).save(tmp_path / "x.png")
    (tmp_path / "notes.txt").write_text("no image")
    pixels = proof_images.from_folder(tmp_path)
    assert pixels.shape == (1, 3, *proof_images.SIZE)
    assert pixels[0, :, 0, 0].tolist() == [255, 128, 3]


def test_made_up_images_repeat_and_fill_the_range():
    made = proof_images.synthetic()
    assert torch.equal(made, proof_images.synthetic())
    assert not torch.equal(made, proof_images.synthetic(1))
    assert made.min() >= 0
    assert made.max() <= 255
    assert made.std() > 20
    assert torch.equal(made, made.round())


def test_no_image_and_no_picture(tmp_path):
    with pytest.raises(InputError, match="found none"):
        proof_images.from_folder(tmp_path)
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be read"):
        proof_images.from_folder(tmp_path)
