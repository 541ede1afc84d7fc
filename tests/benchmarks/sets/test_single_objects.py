"""The objects of a COCO set as class folders."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.sets.single_objects import around
from benchmarks.sets.single_objects import main as make_folders
from tests.cases.class_folders import folders, write_counts


def test_only_scenes_with_one_object_have_a_class(tmp_path, capsys):
    out = folders(tmp_path, [1, 1, 0, 2, 1])
    assert sorted(str(p.relative_to(out)) for p in (out / "train").rglob("*.png")) == [
        "train/cat/0.png",
        "train/cat/4.png",
        "train/dog/1.png",
    ]
    assert "3 images in class folders, 2 without" in capsys.readouterr().out


def test_every_object_is_cut_out_under_its_own_name(tmp_path, capsys):
    train, val = write_counts(tmp_path / "a", [1, 2]), write_counts(tmp_path / "b", [0, 1])
    for folder in ("a", "b"):
        content = json.loads((tmp_path / folder / "annotations.json").read_text())
        for number, annotation in enumerate(content["annotations"]):
            annotation |= {"id": number + 1, "bbox": [4, 4, 20, 8] if number < 2 else [4, 4, 15, 8]}
        (tmp_path / folder / "annotations.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    assert make_folders(["--train", *train, "--val", *val, "--out", str(out), "--crop", "24", "--every"]) == 0
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.png")) == [
        "train/cat/0_1.png",
        "train/dog/1_2.png",
        "val/dog/1_1.png",
    ]
    assert cv2.imread(str(out / "train/dog/1_2.png")).shape == (24, 24, 3)
    assert "2 images in class folders, 1 below 16 pixels left out" in capsys.readouterr().out


def test_every_object_of_a_scene_needs_crops(tmp_path, capsys):
    data = write_counts(tmp_path / "a", [1])
    with pytest.raises(SystemExit):
        make_folders(["--train", *data, "--val", *data, "--out", str(tmp_path / "out"), "--every"])
    assert "--crop" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("box", "corner"),
    [((4, 4, 10, 8), (3, 2)), ((0, 0, 10, 8), (0, 0)), ((30, 35, 10, 5), (28, 28)), ((0, 0, 40, 40), (0, 0))],
)
def test_a_square_around_the_object_stays_in_the_image(box, corner):
    """The image's first two channels are x and y, so that a crop says where it comes from."""
    x, y = np.meshgrid(np.arange(40, dtype=np.uint8), np.arange(40, dtype=np.uint8))
    side = min(40, round(1.2 * max(box[2:])))
    crop = around(np.stack([x, y, x], axis=2), box, side)
    assert crop.shape == (side, side, 3)
    assert tuple(int(v) for v in crop[0, 0, :2]) == corner


def test_an_existing_folder_is_not_written_into(tmp_path):
    out = folders(tmp_path, [1])
    with pytest.raises(SystemExit):
        make_folders(["--train", "a", "b", "--val", "a", "b", "--out", str(out)])
