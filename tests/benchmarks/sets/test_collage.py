import numpy as np
import pytest

from benchmarks.sets import collage
from benchmarks.sets.annotations import visible_part
from tests.cases.cutout_sets import COLOURS, GREY, write_cutouts
from transfer.errors import InputError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return collage.sources(write_cutouts(tmp_path_factory.mktemp("cutouts")), "train")


def test_sources_are_sorted_and_of_one_split(files):
    assert list(files.cutouts) == sorted(COLOURS)
    assert [p.name for p in files.cutouts["chip"]] == ["train_chip_0.png", "train_chip_1.png"]
    assert [p.name for p in files.backgrounds] == ["train0.jpg", "train1.jpg"]


def test_the_mask_is_where_the_object_is_more_than_half_opaque(files):
    # An object without green on grey g: what is left of the green is g (1 - alpha / 255).
    half = GREY["train"] * (1 - 127.5 / 255)
    compared = 0
    for i in range(30):
        made = collage.compose(f"0/train/{i}", files, 64, 1)
        green = made.image[..., 1]
        if len(made.masks) == 1:
            compared += 1
            assert made.masks[0][green < half - 1].all()
            assert not made.masks[0][green > half + 1].any()
    assert compared > 20


def test_only_the_visible_part_counts_and_belongs_to_its_category(files):
    hidden = 0
    for i in range(30):
        made = collage.compose(f"1/train/{i}", files, 64, 4)
        assert made.masks.shape == (len(made.categories), 64, 64)
        assert made.masks.sum(axis=0).max(initial=0) <= 1
        for category, mask in zip(made.categories, made.masks, strict=True):
            assert mask.sum() >= collage.LEAST_PIXELS
            red, _, blue = np.moveaxis(made.image[mask].astype(int), 1, 0)
            assert np.mean(red > blue if category == "blot" else blue > red) > 0.9  # but for others' soft edges
        hidden += bool(((made.image[..., 1] < 40) & ~made.masks.any(axis=0)).any())
    assert hidden  # an object that is hardly seen is in the picture and not among the masks


def test_a_picture_depends_on_its_key_alone(files):
    first = collage.compose("0/train/3", files, 64, 4)
    collage.compose("0/train/4", files, 64, 4)
    again = collage.compose("0/train/3", files, 64, 4)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    others = [collage.compose(key, files, 64, 4).image for key in ("0/train/4", "1/train/3", "0/val/3")]
    assert all((first.image != other).any() for other in others)


# What the program that made the first sets sees in its pictures of these cut-outs: category; x, y, width, height.
DRAWN = [
    [("blot", [11, 1, 33, 28]), ("blot", [41, 32, 21, 20]), ("chip", [21, 19, 37, 24])],
    [("blot", [3, 30, 24, 22]), ("chip", [24, 37, 20, 15]), ("blot", [41, 48, 23, 16]), ("blot", [29, 0, 34, 21])],
    [("blot", [0, 22, 31, 27])],
    [("blot", [25, 17, 35, 28]), ("chip", [0, 31, 29, 27]), ("chip", [22, 38, 16, 11])],
]


@pytest.mark.parametrize("index", range(len(DRAWN)))
def test_the_draws_keep_their_order(files, index):
    made = collage.compose(f"0/train/{index}", files, 64, 4)
    assert made.categories == [category for category, _ in DRAWN[index]]
    for mask, (_, box) in zip(made.masks, DRAWN[index], strict=True):
        assert visible_part("any", mask).box == pytest.approx(box, abs=1)  # another Pillow may round a rim differently


def test_a_folder_without_cutouts_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"expected backgrounds/train/.* found 0 and 0 files; .*benchmarks.sets.cutouts"
    ):
        collage.sources(tmp_path, "train")


def test_a_file_that_is_no_image_is_named(tmp_path):
    files = collage.sources(write_cutouts(tmp_path, backgrounds=1), "train")
    files.backgrounds[0].write_bytes(b"no JPEG")
    with pytest.raises(InputError, match=r"train0.jpg: expected an image"):
        collage.compose("0/train/0", files, 64, 4)
