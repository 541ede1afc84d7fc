"""Each tool's folder ends in the same set; what is chosen, refused and written."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

import transfer
from tests.cases import tool_folders
from tests.cases.tool_folders import SCENES, SIZE, TOOLS
from transfer.data import check, coco
from transfer.errors import InputError

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def contents(data):
    return {name: json.loads(file.read_text()) for name, file in data.annotations.items()}


def boxes(content):
    """Image -> (class, x, y, width, height) of its objects."""
    classes = {c["id"]: c["name"] for c in content["categories"]}
    objects = {image["file_name"]: [] for image in content["images"]}
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for a in content["annotations"]:
        objects[names[a["image_id"]]].append((classes[a["category_id"]], *a["bbox"]))
    return {name: sorted(own) for name, own in objects.items()}


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tools_folder_ends_in_the_same_set(tmp_path, tool):
    make, own, masks, splits = TOOLS[tool]
    data = transfer.import_data(make(tmp_path / "source"), tmp_path / "out")
    assert data.format == own
    written = contents(data)
    expected = {name or "annotations" for name in splits}
    assert set(written) == expected
    together = {name: objects for content in written.values() for name, objects in boxes(content).items()}
    classes = (lambda label: "object") if own == "masks" else (lambda label: label)
    for name, split in zip(SCENES, splits, strict=True):
        assert name in boxes(written[split or "annotations"])
        truth = sorted((classes(label), *box) for label, *box in SCENES[name])
        assert len(together[name]) == len(truth)
        for (label, *box), (true_label, *true_box) in zip(together[name], truth, strict=True):
            assert label == true_label
            assert box == pytest.approx(true_box, abs=1e-9)
    for content in written.values():
        assert [image["id"] for image in content["images"]] == list(range(1, len(content["images"]) + 1))
        assert [a["id"] for a in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
        assert [c["id"] for c in content["categories"]] == list(range(1, len(content["categories"]) + 1))
        for a in content["annotations"]:
            assert a["area"] == pytest.approx(a["bbox"][2] * a["bbox"][3])
            assert a["iscrowd"] == 0
            assert ("segmentation" in a) == masks
    assert data.masks == (3 if masks else 0)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_set_is_read_by_the_project_and_by_pycocotools_with_the_same_numbers(tmp_path, tool):
    make, _, masks, _ = TOOLS[tool]
    data = transfer.import_data(make(tmp_path / "source"), tmp_path / "out")
    for name, file in data.annotations.items():
        read = coco.read_coco(data.images, file)
        assert read.changes == ()
        assert check.check(read, masks=masks) == []
        assert coco.count(read.content, None) == data.counts[name]
        theirs = COCO(str(file))
        assert len(theirs.getAnnIds()) == data.counts[name].objects
        for annotation in theirs.loadAnns(theirs.getAnnIds()) if masks else []:
            assert theirs.annToMask(annotation).sum() == annotation["area"]
    images = sorted(path for path in data.images.rglob("*") if path.is_file())
    assert [np.asarray(Image.open(path)).tolist() for path in images] == [
        tool_folders.pixels(path.name).tolist() for path in images
    ]


def test_the_masks_are_where_the_objects_are(tmp_path):
    data = transfer.import_data(tool_folders.masks_dsb(tmp_path / "source"), tmp_path / "out", category="pet")
    content = contents(data)["annotations"]
    for a in content["annotations"]:
        name = content["images"][a["image_id"] - 1]["file_name"]
        lit = tool_folders.pixels(name)[..., 0] == 250
        mask = rle.decode(a["segmentation"]).astype(bool)
        assert mask.sum() == a["area"]
        assert lit[mask].all()
    assert data.classes == {"pet": 3}


def test_boxes_leaves_masks_out(tmp_path):
    data = transfer.import_data(tool_folders.labelme(tmp_path / "source"), tmp_path / "out", boxes=True)
    assert all("segmentation" not in a for a in contents(data)["annotations"]["annotations"])
    assert data.masks == 0
    assert data.classes == {"cat": 1, "dog": 2}


@pytest.mark.parametrize("way", ["copy", "hardlink", "symlink"])
def test_images_are_copied_or_linked(tmp_path, way):
    source = tool_folders.labelme(tmp_path / "source")
    data = transfer.import_data(source, tmp_path / "out", images=way)
    placed = data.images / "a.png"
    assert placed.read_bytes() == (source / "a.png").read_bytes()
    assert placed.is_symlink() == (way == "symlink")
    assert (os.stat(placed, follow_symlinks=False).st_ino == os.stat(source / "a.png").st_ino) == (way == "hardlink")


def test_a_split_is_the_same_for_one_seed_and_says_what_it_set_aside(tmp_path):
    source = tool_folders.yolo(tmp_path / "source")
    one = transfer.import_data(source, tmp_path / "1", split="50/50", seed=3)
    two = transfer.import_data(source, tmp_path / "2", split="50/50", seed=3)
    assert contents(one) == contents(two)
    assert set(one.counts) == {"train", "val"}
    assert sum(c.images for c in one.counts.values()) == 3
    assert any(line.startswith("3 images whose own split was set aside") for line in one.put_right)


def test_images_of_a_folder_stay_together(tmp_path):
    for k in range(6):
        own = tool_folders.labelme(tmp_path / "source" / f"camera{k}")
        for name in SCENES:
            Image.fromarray(tool_folders.pixels(name) - np.uint8(k)).save(own / name)
    data = transfer.import_data(tmp_path / "source", tmp_path / "out", split="50/50", group_by="folder")
    folders = {name: {Path(i["file_name"]).parent for i in c["images"]} for name, c in contents(data).items()}
    assert {name: len(own) for name, own in folders.items()} == {"train": 3, "val": 3}
    assert not folders["train"] & folders["val"]
    assert "6 groups by folder, the largest of 3 of 18 images" in data.notes


def test_files_with_the_same_bytes_are_never_on_both_sides(tmp_path):
    for k in range(6):
        tool_folders.labelme(tmp_path / "source" / f"camera{k}")
    data = transfer.import_data(tmp_path / "source", tmp_path / "out", split="60/40")
    sides = {
        name: {hashlib.sha256((data.images / i["file_name"]).read_bytes()).hexdigest() for i in c["images"]}
        for name, c in contents(data).items()
    }
    assert not sides["train"] & sides["val"]


def test_images_on_both_sides_of_the_sources_own_split_are_said(tmp_path):
    source = tool_folders.coco_roboflow(tmp_path / "source")
    (source / "valid/b.png").write_bytes((source / "train/a.png").read_bytes())
    data = transfer.import_data(source, tmp_path / "out")
    assert any("1 val images have the bytes or pixels of a training image" in note for note in data.notes)


def sixteen_bit(tmp_path, largest):
    source = tool_folders.labelme(tmp_path / "source")
    for name in SCENES:
        values = tool_folders.pixels(name)[..., 0].astype(np.uint32) * largest // 255
        Image.fromarray(values.astype(np.uint16)).save(source / name)
    return source


def test_dark_sixteen_bit_images_are_said_and_depth_mends_them(tmp_path):
    source = sixteen_bit(tmp_path, 4095)
    data = transfer.import_data(source, tmp_path / "1")
    assert any("use 12 bits only" in note and "--depth 12" in note for note in data.notes)
    assert (data.images / "a.png").read_bytes() == (source / "a.png").read_bytes()
    data = transfer.import_data(source, tmp_path / "2", depth=12)
    mended = np.asarray(Image.open(data.images / "a.png"))
    assert mended.dtype == np.uint8
    assert np.abs(mended.astype(int) - tool_folders.pixels("a.png")[..., 0]).max() <= 1
    with pytest.raises(InputError, match="expected values of 9 bits"):
        transfer.import_data(source, tmp_path / "3", depth=9)
    assert not (tmp_path / "3").exists()


def test_full_sixteen_bit_images_are_only_counted(tmp_path):
    data = transfer.import_data(sixteen_bit(tmp_path, 65535), tmp_path / "out")
    assert any(note.startswith("3 16-bit images") for note in data.notes)
    assert not any("--depth" in note for note in data.notes)


def crowds(folder):
    """CVAT's brush: uncompressed run lengths, all with iscrowd 1 (Datumaro's COCO writer)."""
    source = tool_folders.coco_cvat(folder)
    for file in (source / "annotations").iterdir():
        content = json.loads(file.read_text())
        for a in content["annotations"]:
            mask = tool_folders.object_mask(*a["bbox"])
            flat = np.concatenate([[0], (mask > 0).T.ravel().astype(int), [0]])
            edges = np.flatnonzero(np.diff(flat))
            counts = np.diff([0, *edges, mask.size]).tolist()
            a |= {"iscrowd": 1, "segmentation": {"size": [SIZE[1], SIZE[0]], "counts": counts}}
        file.write_text(json.dumps(content))
    return source


def test_a_set_of_crowds_needs_a_word(tmp_path):
    source = crowds(tmp_path / "source")
    with pytest.raises(InputError, match=r"found 3 of 3 with iscrowd 1.*--crowds objects"):
        transfer.import_data(source, tmp_path / "out")
    data = transfer.import_data(source, tmp_path / "1", crowds="objects")
    assert data.classes == {"cat": 1, "dog": 2}
    assert [c.crowds for c in data.counts.values()] == [0, 0]
    assert [a["area"] for a in contents(data)["val"]["annotations"]] == [800]
    data = transfer.import_data(source, tmp_path / "2", crowds="keep")
    assert sum(c.crowds for c in data.counts.values()) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"format": "kitti"}, "--format: expected one of coco, labelme"),
        ({"images": "move"}, "--images: expected one of copy, hardlink, symlink, found move"),
        ({"depth": 8}, "--depth: expected one of 9,"),
        ({"areas": "x"}, "--areas"),
        ({"crowds": "x"}, "--crowds"),
        ({"category": " "}, "--class: expected a name of one line"),
        ({"seed": -1}, "--seed: expected 0 or more"),
        ({"split": "80/30"}, "sum to 100, such as 80/20, found 80/30"),
        ({"split": "x"}, "--split"),
        ({"group_by": "folder"}, "expected --split, found none"),
        ({"split": "80/20", "group_by": "colour"}, "--group-by: expected folder, likeness or prefix:REGEX"),
        ({"split": "80/20", "group_by": "prefix:("}, "expected a regular expression"),
        ({"split": "80/20", "group_by": "prefix:x"}, "found 3 that do not .first: a.png"),
        ({"split": "80/20", "group_by": "folder"}, "found 1 of 3 images, the largest of 3"),
        ({"format": "yolo"}, "expected class names in data.yaml or classes.txt, found none"),
        ({"format": "masks"}, "expected images and masks of the same names"),
        ({"format": "voc"}, "expected images with VOC annotations, found none"),
        ({"format": "coco"}, "expected a COCO annotation file, found none"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(tmp_path, words, message):
    source = tool_folders.labelme(tmp_path / "source")
    with pytest.raises(InputError, match=message) as refused:
        transfer.import_data(source, tmp_path / "out", **words)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_an_existing_set_is_left_alone(tmp_path):
    source = tool_folders.labelme(tmp_path / "source")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("x")
    with pytest.raises(InputError, match="is taken: expected a new or empty folder"):
        transfer.import_data(source, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_an_error_while_writing_leaves_nothing(tmp_path, monkeypatch):
    source = tool_folders.labelme(tmp_path / "source")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transfer.importing.copies.shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        transfer.import_data(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_set_without_objects_says_what_was_left_out(tmp_path):
    tool_folders.write_images(tmp_path / "source")
    points = [tool_folders.shape("cat", [[3, 3]], "point")]
    tool_folders.write_json(tmp_path / "source/a.json", tool_folders.labelme_file("a.png", points))
    with pytest.raises(InputError, match="expected objects, found none; left out: 1 points, lines"):
        transfer.import_data(tmp_path / "source", tmp_path / "out")
