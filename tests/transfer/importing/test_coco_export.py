import json

import pytest

import transfer
from tests.cases import tool_folders
from tests.cases.tool_folders import coco_content, write_images, write_json
from transfer.errors import InputError
from transfer.importing import coco_export
from transfer.importing.objects import Choices
from transfer.importing.tally import Tally

CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def read(folder, change=lambda content: None, **changes):
    content = coco_content(tool_folders.SCENES, CATEGORIES, **changes)
    change(content)
    write_images(folder / "images")
    write_json(folder / "annotations/instances_default.json", content)
    tally = Tally()
    return coco_export.read(folder, Choices(), tally), tally


def objects(data):
    return [drawn for image in data.images for drawn in image.objects]


def test_area_and_iscrowd_are_filled_in(tmp_path):
    data, tally = read(tmp_path, area=None, iscrowd=None)
    assert [drawn.area for drawn in objects(data)] == [0, 0, 0]  # which the cleaning replaces
    assert [drawn.crowd for drawn in objects(data)] == [False] * 3
    assert tally.counts["iscrowd"] == 3
    written = transfer.import_data(tmp_path, tmp_path / "out")
    content = json.loads(written.annotations["annotations"].read_text())
    assert [a["area"] for a in content["annotations"]] == [320, 720, 800]
    assert any(line.startswith('3 objects without "area"') for line in written.put_right)


def test_boxes_are_taken_from_masks_where_they_are_missing(tmp_path):
    read(tmp_path, bbox=None)
    written = transfer.import_data(tmp_path, tmp_path / "out")
    content = json.loads(written.annotations["annotations"].read_text())
    assert [a["bbox"] for a in content["annotations"]] == [[4, 6, 20, 16], [30, 10, 24, 30], [8, 8, 40, 20]]


def test_flat_lists_and_pairs_become_polygons(tmp_path):
    def change(content):
        first, second, _ = content["annotations"]
        first["segmentation"] = first["segmentation"][0]
        second["segmentation"] = [tool_folders.corners(*second["bbox"])]

    data, tally = read(tmp_path, change)
    assert [drawn.polygons for drawn in objects(data)][:2] == [
        [tool_folders.flat(4, 6, 20, 16)],
        [tool_folders.flat(30, 10, 24, 30)],
    ]
    assert (tally.counts["flat list"], tally.counts["pairs"]) == (1, 1)


def test_a_placeholder_is_dropped_from_every_split_also_one_without_objects(tmp_path):
    tally = Tally()
    data = coco_export.read(tool_folders.coco_roboflow(tmp_path), Choices(), tally)
    assert data.categories == ["cat", "dog"]
    assert tally.counts["placeholder"] == 1


def test_a_class_with_objects_is_no_placeholder(tmp_path):
    folder = tool_folders.coco_roboflow(tmp_path)
    file = folder / "valid/_annotations.coco.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["category_id"] = 0
    file.write_text(json.dumps(content))
    assert set(coco_export.read(folder, Choices(), Tally()).categories) == {"cat", "dog", "pets"}


def test_subsets_with_one_file_name_each_have_their_own_image(tmp_path):
    for subset in ("Train", "Validation"):
        write_images(tmp_path / "images" / subset, ["a.png"])
        write_json(tmp_path / f"annotations/instances_{subset}.json", coco_content(["a.png"], CATEGORIES))
    data = coco_export.read(tmp_path, Choices(), Tally())
    assert [(image.split, image.file.parent.name) for image in data.images] == [
        ("train", "Train"),
        ("val", "Validation"),
    ]


def test_other_subsets_keep_their_names(tmp_path):
    for subset in ("day", "night"):
        write_images(tmp_path / "images" / subset, ["a.png"])
        write_json(tmp_path / f"annotations/instances_{subset}.json", coco_content(["a.png"], CATEGORIES))
    assert [image.split for image in coco_export.read(tmp_path, Choices(), Tally()).images] == ["day", "night"]


def test_files_of_other_tasks_are_counted(tmp_path):
    read(tmp_path)
    write_json(tmp_path / "annotations/person_keypoints_default.json", coco_content(["a.png"], CATEGORIES))
    tally = Tally()
    assert len(coco_export.read(tmp_path, Choices(), tally).images) == 3
    assert tally.counts["other file"] == 1


def changed(key, value):
    return lambda content: content["annotations"][0].update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("category_id", 9), "1 annotations of unknown categories"),
        (changed("bbox", [1, 2, 3]), "boxes that are not"),
        (changed("bbox", [0.1, 0.1, 0.2, 0.3]), "boxes in fractions of the image"),
        (changed("bbox", [30, 10, 60, 40]), r"boxes that are corners"),
        (changed("segmentation", {"size": [48, 64], "counts": [5]}), "run-length codes that do not fill their image"),
        (changed("segmentation", {"size": [48, 64], "counts": "xyz"}), "run-length codes that do not fill their image"),
        (changed("segmentation", {"size": [64, 48], "counts": [3072]}), "run-length codes of another size"),
        (changed("segmentation", "text"), "masks with texts for numbers"),
        (changed("segmentation", {"a": 1}), "masks that are neither polygons"),
        (changed("segmentation", [[1, 2, 3, 4, 1e9, 9]]), "polygons further from their image"),
        (lambda c: c["images"][0].update(width=65), "images of another size than the file says"),
        (lambda c: c["images"][0].update(file_name="gone.png"), "1 missing images .first: gone.png"),
        (lambda c: c["images"][0].update(file_name=None), "images without a file_name"),
        (lambda c: c.update(images={}), 'expected a list "images"'),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, change, message):
    with pytest.raises(InputError, match=message) as refused:
        read(tmp_path, change)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_polygon_of_two_points_is_left_out_with_its_object(tmp_path):
    read(tmp_path, changed("segmentation", [[1, 2, 3, 4]]))
    written = transfer.import_data(tmp_path, tmp_path / "out")
    assert written.classes == {"cat": 0, "dog": 2}
    assert any(
        line.startswith("1 parts of fewer than three points (first: instances_default") for line in written.left_out
    )


def test_is_coco():
    assert coco_export.is_coco(json.dumps(coco_content([], [])).encode())
    assert not coco_export.is_coco(b'{"images": [], "annotations": []}')
