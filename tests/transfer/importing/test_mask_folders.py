import numpy as np
import pytest
from PIL import Image

from tests.cases import tool_folders
from tests.cases.tool_folders import SIZE, object_mask, write_images
from transfer.errors import InputError
from transfer.importing import mask_folders, shapes
from transfer.importing.objects import Choices
from transfer.importing.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def read(folder, **choices):
    tally = Tally()
    return mask_folders.read(folder, Choices(**choices), tally), tally


def pair(folder, mask, name="a.png"):
    write_images(folder / "images", ["a.png", "b.png"])
    (folder / "masks").mkdir()
    mask.save(folder / "masks" / name)
    return folder


def two():
    return object_mask(4, 6, 20, 16) | object_mask(30, 10, 24, 30)


def areas(data):
    return [shapes.area(drawn.code) for image in data.images for drawn in image.objects]


def test_one_value_in_areas_apart_needs_a_word(tmp_path):
    folder = pair(tmp_path, Image.fromarray(two()))
    with pytest.raises(InputError, match=r"found one value in all 1, in 1 of them in areas apart .first: a.png"):
        read(folder)
    assert areas(read(folder, areas="apart")[0]) == [320, 720]
    assert areas(read(folder, areas="joined")[0]) == [1040]


def test_one_value_in_one_area_is_an_object(tmp_path):
    assert areas(read(pair(tmp_path, Image.fromarray(object_mask(1, 1, 3, 4))))[0]) == [12]


def test_an_object_of_several_areas_stays_one_among_other_values(tmp_path):
    values = (two() > 0).astype(np.uint8)
    values[0, 0] = 7
    assert areas(read(pair(tmp_path, Image.fromarray(values)))[0]) == [1040, 1]


def test_names_may_end_in_mask(tmp_path):
    assert areas(read(pair(tmp_path, Image.fromarray(object_mask(1, 1, 3, 4)), "a_mask.png"))[0]) == [12]


def test_folders_of_splits(tmp_path):
    for split, name in (("train", "a.png"), ("val", "b.png")):
        write_images(tmp_path / split / "images", [name])
        (tmp_path / split / "masks").mkdir()
        tool_folders.label_image(name).save(tmp_path / split / "masks" / name)
    data, _ = read(tmp_path)
    assert [(image.split, len(image.objects)) for image in data.images] == [("train", 2), ("val", 1)]


def test_images_without_a_mask_are_counted(tmp_path):
    folder = tool_folders.masks_labels(tmp_path)
    (folder / "masks/b.png").unlink()
    data, tally = read(folder)
    assert len(data.images) == 2
    assert tally.counts["unlabelled"] == 1


def test_an_empty_file_among_an_images_masks_is_left_to_the_cleaning(tmp_path):
    folder = tool_folders.masks_dsb(tmp_path)
    Image.new("L", SIZE).save(folder / "a/masks/9.png")
    assert areas(read(folder)[0]) == [320, 720, 0, 800]


@pytest.mark.parametrize(
    ("mask", "name", "message"),
    [
        (Image.new("L", (9, 9)), "a.png", "expected a mask of 64x48, found 9x9"),
        (Image.new("L", SIZE), "a.jpg", "found JPEG, which changes values"),
        (Image.new("L", SIZE), "z.png", "found 2 images and 1 masks that do not fit"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, mask, name, message):
    with pytest.raises(InputError, match=message) as refused:
        read(pair(tmp_path, mask, name))
    assert "\n" not in str(refused.value)


def test_has_masks(tmp_path):
    files = [tmp_path / "images/a.png", tmp_path / "images/b.png"]
    assert not mask_folders.has_masks(files, tmp_path)
    assert mask_folders.has_masks([*files, tmp_path / "masks/a.png"], tmp_path)
    assert mask_folders.has_masks([tmp_path / "a_cp_masks.png"], tmp_path)
