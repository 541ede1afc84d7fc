from pathlib import Path

import pytest
from PIL import Image

from tests.cases.tool_folders import SIZE, write_images
from transfer.errors import InputError
from transfer.importing.images import Images, split_named, split_of
from transfer.importing.objects import Choices
from transfer.importing.tally import Tally


def images(folder, **choices):
    return Images(folder, Tally(), Choices(**choices))


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("train2017", "train"), ("instances_val2017", "val"), ("obj_valid_data", "val"),
     ("Test", "test"), ("trainval", None), ("training", "train"), ("strain", None), ("train_and_test", None),
     ("images", None)],
)  # fmt: skip
def test_words_that_name_a_split(name, split):
    assert split_named(name) == split


def test_the_folder_nearest_to_the_file_names_the_split():
    assert split_of(Path("train/val/a.png")) == "val"
    assert split_of(Path("train/images/test.png")) == "train"
    assert split_of(Path("test.png")) is None


def test_a_name_leads_to_the_file_that_ends_like_it(tmp_path):
    for part in ("one/images", "two/images"):
        write_images(tmp_path / part, ["a.png"])
    write_images(tmp_path / "two", ["b.png"])
    known = images(tmp_path)
    assert known.find("two\\images\\a.png", tmp_path) == tmp_path / "two/images/a.png"
    assert known.find("/home/me/one/images/a.png", tmp_path) == tmp_path / "one/images/a.png"
    assert known.find("a.png", tmp_path / "two/labels") == tmp_path / "two/images/a.png"
    assert known.find("a.png", tmp_path, part="One") == tmp_path / "one/images/a.png"
    assert known.find("/data/local-files/?d=two%2Fb.png", tmp_path) == tmp_path / "two/b.png"
    assert known.find("B.PNG", tmp_path) == tmp_path / "two/b.png"
    assert known.find("c.png", tmp_path) is None
    assert known.find("..", tmp_path) is None
    assert known.find("a\0.png", tmp_path) is None
    with pytest.raises(InputError, match=r"expected one image called a.png, found .*one.* and .*two.*; rename"):
        known.find("a.png", tmp_path)


def test_an_absolute_name_outside_the_source_is_not_followed(tmp_path):
    write_images(tmp_path / "elsewhere", ["a.png"])
    write_images(tmp_path / "source", ["b.png"])
    assert images(tmp_path / "source").find(str(tmp_path / "elsewhere/a.png"), tmp_path / "source") is None


def test_a_stem_leads_to_an_image_of_any_suffix(tmp_path):
    Image.new("RGB", SIZE).save(tmp_path / "a.JPG", "JPEG")
    assert images(tmp_path).find_stem("a", tmp_path) == tmp_path / "a.JPG"
    assert images(tmp_path).find_stem("b", tmp_path) is None


def test_folders_left_out_hold_no_images(tmp_path):
    write_images(tmp_path / "masks", ["a.png"])
    assert Images(tmp_path, Tally(), Choices(), without=("masks",)).files == []


def test_sizes_are_those_of_the_upright_file(tmp_path):
    write_images(tmp_path, ["a.png"])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(tmp_path / "turned.jpg", exif=exif)
    known = images(tmp_path)
    assert known.measure(tmp_path / "a.png", None) == SIZE
    assert known.measure(tmp_path / "turned.jpg", (48, 64)) == (48, 64)
    assert not known.problems.counts
    known.measure(tmp_path / "turned.jpg", SIZE)
    known.measure(tmp_path / "a.png", (1, 1))
    assert known.measure(tmp_path / "none.png", None) == (0, 0)
    assert known.problems.counts == {"stored size": 1, "other size": 1, "unreadable": 1}
    with pytest.raises(InputError, match=r"3 objects.*1 unreadable images"):
        known.refuse(3)


def test_missing_images_are_refused_or_left_out(tmp_path):
    known = images(tmp_path)
    known.missing("a.png")
    assert known.problems.counts == {"missing file": 1}
    known = images(tmp_path, skip_missing=True)
    known.missing("a.png")
    assert not known.problems.counts


def test_names_below_the_source(tmp_path):
    known = images(tmp_path / "source")
    assert known.relative(tmp_path / "source/x/a.png") == Path("x/a.png")
    assert known.relative(tmp_path / "a.png") == Path("a.png")
