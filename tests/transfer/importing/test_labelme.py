import json

import numpy as np
import pytest

from tests.cases import tool_folders
from tests.cases.tool_folders import SIZE, labelme_file, png, shape, write_images, write_json
from transfer.errors import InputError
from transfer.importing import labelme
from transfer.importing.objects import Choices
from transfer.importing.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def read(folder, *shapes, **choices):
    """What labelme's reader makes of one image with these shapes."""
    write_images(folder, ["a.png"])
    write_json(folder / "a.json", labelme_file("a.png", list(shapes)))
    tally = Tally()
    data = labelme.read(folder, Choices(**choices), tally)
    return data.images[0].objects, tally


def pixels_of(drawn):
    from pycocotools import mask as rle

    from transfer.importing import shapes

    code = drawn.code if drawn.code is not None else shapes.draw(drawn.polygons, *SIZE)
    return rle.decode(code).astype(bool)


def test_shapes_of_one_group_and_label_are_one_object(tmp_path):
    one, other = [[1, 1], [9, 1], [9, 9]], [[20, 20], [30, 20], [30, 30]]
    objects, _ = read(
        tmp_path,
        shape("cat", one, group=1),
        shape("cat", other, group=1),
        shape("dog", one, group=1),
        shape("cat", one),
    )
    assert [(o.category, len(o.polygons)) for o in objects] == [("cat", 2), ("dog", 1), ("cat", 1)]


def test_a_circle_is_a_polygon_a_tenth_of_a_pixel_off_at_most(tmp_path):
    (drawn,), _ = read(tmp_path, shape("cat", [[30, 20], [42, 25]], "circle"))
    points = np.reshape(drawn.polygons[0], (-1, 2))
    distance = np.hypot(*(points - [30, 20]).T)
    assert distance == pytest.approx(13)
    middle = (points + np.roll(points, 1, axis=0)) / 2
    assert np.hypot(*(middle - [30, 20]).T).min() > 12.9


def test_rectangles_are_boxes_alone_and_masks_among_other_shapes(tmp_path):
    rectangle = shape("cat", [[24, 22], [4, 6]], "rectangle")  # drawn from the lower right
    (drawn,), tally = read(tmp_path / "1", rectangle)
    assert (drawn.box, drawn.polygons) == ((4, 6, 20, 16), None)
    assert not tally.counts["rectangles"]
    objects, tally = read(tmp_path / "2", rectangle, shape("dog", [[1, 1], [9, 1], [9, 9]]))
    assert (objects[0].box, objects[0].polygons) == (None, [[4, 6, 24, 6, 24, 22, 4, 22]])
    assert tally.counts["rectangles"] == 1
    four = shape("cat", [[4, 6], [24, 6], [24, 22], [4, 22]], "rectangle")  # X-AnyLabeling's
    (drawn,), _ = read(tmp_path / "3", four)
    assert drawn.box == (4, 6, 20, 16)


def test_a_mask_shape_is_placed_where_its_points_say(tmp_path):
    patch = np.zeros((6, 10), np.uint8)
    patch[1:4, 2:7] = 255
    (drawn,), _ = read(tmp_path, shape("cat", [[20, 30], [29, 35]], "mask", mask=png(patch)))
    expected = np.zeros((SIZE[1], SIZE[0]), bool)
    expected[31:34, 22:27] = True
    assert (pixels_of(drawn) == expected).all()


def test_a_mask_shape_over_the_border_is_cut_and_joins_its_group(tmp_path):
    patch = np.full((6, 10), 255, np.uint8)
    objects, _ = read(
        tmp_path,
        shape("cat", [[-4, -2], [5, 3]], "mask", group=0, mask=png(patch)),
        shape("cat", [[20, 20], [30, 20], [30, 30], [20, 30]], group=0),
    )
    assert len(objects) == 1
    assert pixels_of(objects[0]).sum() == 4 * 6 + 100
    assert pixels_of(objects[0])[:4, :6].all()


def test_points_lines_and_unknown_shapes_are_counted(tmp_path):
    objects, tally = read(
        tmp_path,
        shape("nose", [[3, 3]], "point"),
        shape("edge", [[3, 3], [4, 4]], "line"),
        shape("way", [[3, 3], [4, 4], [5, 5]], "linestrip"),
        shape("x", [[3, 3]], "cuboid"),
        shape("__ignore__", [[1, 1], [9, 1], [9, 9]]),
        shape("cat", [[1, 1], [9, 1], [9, 9]]),
    )
    assert [drawn.category for drawn in objects] == ["cat"]
    assert tally.counts == {"no area": 3, "unknown shape": 1, "ignored": 1}
    assert tally.examples["no area"] == "a.json: shapes[0], point"


def test_the_image_is_found_by_other_paths_too(tmp_path):
    write_images(tmp_path / "pictures", ["a.png"])
    for path in ("..\\pictures\\a.png", "../pictures/a.png", "C:\\Users\\me\\a.png", "/home/me/a.png", "renamed.jpg"):
        write_json(tmp_path / "labels/a.json", labelme_file("a.png", [], path=path))
        data = labelme.read(tmp_path, Choices(), Tally())
        assert data.images[0].file == tmp_path / "pictures/a.png", path


def test_an_image_inside_is_used_where_there_is_none_beside(tmp_path):
    folder = tool_folders.labelme(tmp_path, embedded=True)
    tally = Tally()
    data = labelme.read(folder, Choices(), tally)
    assert tally.counts["embedded"] == 3
    assert [image.name.name for image in data.images] == ["a.png", "b.png", "c.png"]
    assert data.images[0].encoded() == labelme.embedded_image(folder / "a.json")


def test_images_without_a_file_and_other_json_files_are_counted(tmp_path):
    folder = tool_folders.labelme(tmp_path)
    (folder / "c.json").unlink()
    write_json(folder / "settings.json", {"a": 1})
    tally = Tally()
    assert len(labelme.read(folder, Choices(), tally).images) == 2
    assert (tally.counts["unlabelled"], tally.counts["other file"]) == (1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(imagePath="gone.png"), "1 missing images .first: gone.png of x.json"),
        (
            lambda c: c.update(imageWidth=65),
            "1 images of another size than the file says .first: a.png, 64x48 for 65x48",
        ),
        (lambda c: c.update(imageWidth="wide"), "imageWidth"),
        (lambda c: c.update(shapes={}), "shapes"),
        (lambda c: c["shapes"].append(1), r"shapes\[1\]: expected a shape, found 1"),
        (lambda c: c["shapes"][0].update(label=""), "label"),
        (lambda c: c["shapes"][0].update(group_id=[1]), "group_id"),
        (lambda c: c["shapes"][0].update(points=[[1, "x"]]), "points"),
        (lambda c: c["shapes"][0].update(points=[[1, 1e300]]), "points"),
        (lambda c: c["shapes"][0].update(shape_type=[["polygon"]]), r"\"shape_type\" as a text such as polygon"),
        (lambda c: c["shapes"][0].update(shape_type="circle"), "expected two points"),
        (lambda c: c["shapes"][0].update(shape_type="mask", points=[[1, 1], [2, 2]], mask="%"), "base64"),
        (lambda c: c["shapes"][0].update(shape_type="mask", points=[[1, 1], [2, 2]], mask="abcd"), "expected a PNG"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_its_place(tmp_path, change, message):
    write_images(tmp_path, ["a.png"])
    content = labelme_file("a.png", [shape("cat", [[1, 1], [9, 1], [9, 9]])])
    change(content)
    name = "x.json" if content["imagePath"] == "gone.png" else "a.json"
    write_json(tmp_path / name, content)
    with pytest.raises(InputError, match=message) as refused:
        labelme.read(tmp_path, Choices(), Tally())
    assert "\n" not in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_missing_images_can_be_left_out(tmp_path):
    folder = tool_folders.labelme(tmp_path)
    (folder / "b.png").unlink()
    tally = Tally()
    assert len(labelme.read(folder, Choices(skip_missing=True), tally).images) == 2
    assert tally.counts["missing"] == 1


def test_is_labelme():
    assert labelme.is_labelme(json.dumps(labelme_file("a.png", [])).encode())
    assert not labelme.is_labelme(b'{"shapes": []}')
