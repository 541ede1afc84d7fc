import pytest

from tests.cases import tool_folders
from tests.cases.tool_folders import write_images
from transfer.errors import InputError
from transfer.importing import yolo
from transfer.importing.objects import Choices
from transfer.importing.tally import Tally


def read(folder, rows, about="names: [cat, dog]\n"):
    write_images(folder / "images", ["a.png"])
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text(rows)
    (folder / "data.yaml").write_text(about)
    tally = Tally()
    return yolo.read(folder, Choices(), tally), tally


def test_boxes_and_polygons_in_one_file(tmp_path):
    data, _ = read(tmp_path, "1 0.5 0.5 0.25 0.5\n\n0 0.25 0.25 0.75 0.25 0.5 0.75\n")
    box, polygon = data.images[0].objects
    assert (box.category, box.box) == ("dog", (24, 12, 16, 24))
    assert (polygon.category, polygon.polygons) == ("cat", [[16, 12, 48, 12, 32, 36]])


def test_names_are_a_list_or_numbered_in_any_order(tmp_path):
    for k, names in enumerate(("[a, b]", "{0: a, 1: b}", "{1: b, 0: a}", "{'1': b, '0': a}", "\n- a\n- b")):
        assert read(tmp_path / str(k), "", f"names: {names}\n")[0].categories == ["a", "b"]


def test_numbers_as_names_are_texts(tmp_path):
    assert read(tmp_path, "", "names: [0, 1]")[0].categories == ["0", "1"]


def test_keypoints_are_counted_and_their_box_is_read(tmp_path):
    data, tally = read(tmp_path, "0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.2 0.2 2\n", "names: [a]\nkpt_shape: [2, 3]\n")
    assert data.images[0].objects[0].box == (24, 12, 16, 24)
    assert tally.counts["keypoints"] == 1


def test_an_image_without_a_file_and_one_with_an_empty_file_show_nothing(tmp_path):
    folder = tool_folders.yolo(tmp_path)
    (folder / "labels/train/c.txt").unlink()
    data = yolo.read(folder, Choices(), Tally())
    assert {image.name.name: len(image.objects) for image in data.images} == {"a.png": 2, "b.png": 1, "c.png": 0}


def test_images_outside_the_splits_of_the_yaml_are_counted(tmp_path):
    folder = tool_folders.yolo(tmp_path)
    write_images(folder / "images/more", ["a.png"])
    tally = Tally()
    assert len(yolo.read(folder, Choices(), tally).images) == 3
    assert tally.counts["in no list"] == 1


@pytest.mark.parametrize(
    ("rows", "about", "message"),
    [
        ("0 0.5 0.5 0.2\n", None, "a.txt, line 1: expected a class and 4 numbers of a box.*found 3 numbers"),
        ("0 .5 .5 .2 .2\n0 0.5 0.5 0.2 0.2 0.9\n", None, "line 2.*found 5 numbers; a fifth is a prediction's score"),
        ("0 .1 .1 .2 .2 .3 .3 .4\n", None, "found 7 numbers"),
        ("2 .5 .5 .2 .2\n", None, "expected a class from 0 to 1, found .2."),
        ("-1 .5 .5 .2 .2\n", None, "expected a class from 0 to 1"),
        ("cat .5 .5 .2 .2\n", None, "expected a class from 0 to 1"),
        ("0 32 24 10 10\n", None, "expected fractions of the image, 0-1, found .32.; divide by its size"),
        ("0 nan .5 .2 .2\n", None, "expected fractions"),
        ("", "names: {0: a, 2: b}", "expected classes numbered 0, 1, 2"),
        ("", "names: [a, a]", "each once"),
        ("", "names: []", "expected class names"),
        ("", "names: 3", "expected a list or numbers with names"),
        ("", "names: [a]\nkpt_shape: 17", "kpt_shape"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_its_place(tmp_path, rows, about, message):
    with pytest.raises(InputError, match=message) as refused:
        read(tmp_path, rows, about or "names: [cat, dog]\n")
    assert "\n" not in str(refused.value)


def test_labels_without_an_image_are_missing_images(tmp_path):
    folder = tool_folders.yolo_label_studio(tmp_path)
    (folder / "images/b.png").unlink()
    with pytest.raises(InputError, match=r"1 missing images .first: labels/b.txt"):
        yolo.read(folder, Choices(), Tally())
    assert len(yolo.read(folder, Choices(skip_missing=True), Tally()).images) == 2


def test_a_folder_without_any_label_file_is_refused(tmp_path):
    write_images(tmp_path / "images")
    (tmp_path / "classes.txt").write_text("cat\n")
    with pytest.raises(InputError, match="expected a text file of labels for some image, found none"):
        yolo.read(tmp_path, Choices(), Tally())
