from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfer.errors import InputError
from transfer.importing.copies import Copies, names
from transfer.importing.objects import LabelledImage
from transfer.importing.tally import Tally


def image(path, file=None):
    return LabelledImage(file or Path(path), Path(path), 4, 3)


def test_names_are_the_files_own_or_with_their_folders_where_two_are_alike():
    assert names([image("x/a.png"), image("y/b.png")]) == ["a.png", "b.png"]
    assert names([image("x/a.png"), image("y/A.png"), image("y/b.png")]) == ["x/a.png", "y/A.png", "b.png"]
    with pytest.raises(InputError, match=r"x/a.png: expected each image once in the labels, found it 2 times"):
        names([image("x/a.png"), image("x/a.png")])


@pytest.mark.parametrize("name", ["I;16", "I;16B"])
def test_sixteen_bits_are_counted_or_reduced(tmp_path, name):
    values = np.array([[0, 16, 4095, 2048]], ">u2" if name == "I;16B" else "<u2")
    own = Image.frombytes(name, (4, 1), values.tobytes())
    own.save(tmp_path / "a.tif")
    tally = Tally()
    copies = Copies(tmp_path / "out", "copy", None, tally)
    assert copies.place(image("a.tif", tmp_path / "a.tif"), "a.tif") == "a.tif"
    assert (copies.bits, tally.counts) == (12, {"sixteen bits": 1})
    copies = Copies(tmp_path / "out", "copy", 12, tally)
    assert copies.place(image("a.tif", tmp_path / "a.tif"), "a.tif") == "a.png"
    assert np.asarray(Image.open(tmp_path / "out/a.png")).tolist() == [[0, 1, 255, 128]]


def test_a_reduced_image_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.array([[1, 2, 3]], np.uint16) << 4).save(tmp_path / "a.png", exif=exif)
    Copies(tmp_path / "out", "copy", 12, Tally()).place(image("a.png", tmp_path / "a.png"), "a.png")
    assert np.asarray(Image.open(tmp_path / "out/a.png")).tolist() == [[1 << 4 >> 4], [2], [3]]


def test_damaged_sixteen_bit_images_are_one_line(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 65535, (64, 64), dtype=np.uint16)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:3000])
    with pytest.raises(InputError, match=r"a.png cannot be read"):
        Copies(tmp_path / "out", "copy", None, Tally()).place(image("a.png", tmp_path / "a.png"), "a.png")


def test_a_link_that_the_system_refuses_is_one_line(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(18, "Invalid cross-device link")

    Image.new("L", (4, 3)).save(tmp_path / "a.png")
    monkeypatch.setattr("transfer.importing.copies.os.link", refused)
    with pytest.raises(InputError, match="found Invalid cross-device link; use --images copy"):
        Copies(tmp_path / "out", "hardlink", None, Tally()).place(image("a.png", tmp_path / "a.png"), "a.png")


def test_bytes_inside_a_label_file_are_written(tmp_path):
    Image.new("L", (4, 3)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    inside = LabelledImage(tmp_path / "a.json", Path("a.png"), 4, 3, embedded=lambda: content)
    Copies(tmp_path / "out", "symlink", None, Tally()).place(inside, "x/a.png")
    assert (tmp_path / "out/x/a.png").read_bytes() == content
