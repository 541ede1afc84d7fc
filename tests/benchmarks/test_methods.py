"""Class folders from a COCO set, and the table of what each method's features are worth."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.methods import as_table, main, row
from benchmarks.sets.single_objects import around
from benchmarks.sets.single_objects import main as make_folders


def coco(folder, counts):
    """Image k of a COCO set has counts[k] objects of class k % 2; returns the command's two arguments."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(len(counts)):
        small = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{k}.png"), cv2.resize(small, (40, 40)))
    content = {
        "images": [{"id": k + 1, "file_name": f"{k}.png"} for k in range(len(counts))],
        "annotations": [
            {"image_id": k + 1, "category_id": 7 + k % 2, "bbox": [4, 4, 10, 8]}
            for k, n in enumerate(counts)
            for _ in range(n)
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return [str(folder / "images"), str(folder / "annotations.json")]


def folders(tmp_path, counts):
    train, val = coco(tmp_path / "a", counts), coco(tmp_path / "b", counts)
    assert make_folders(["--train", *train, "--val", *val, "--out", str(tmp_path / "out")]) == 0
    return tmp_path / "out"


def test_only_scenes_with_one_object_have_a_class(tmp_path, capsys):
    out = folders(tmp_path, [1, 1, 0, 2, 1])
    assert sorted(str(p.relative_to(out)) for p in (out / "train").rglob("*.png")) == [
        "train/cat/0.png",
        "train/cat/4.png",
        "train/dog/1.png",
    ]
    assert "3 images in class folders, 2 without" in capsys.readouterr().out


def test_every_object_is_cut_out_under_its_own_name(tmp_path, capsys):
    train, val = coco(tmp_path / "a", [1, 2]), coco(tmp_path / "b", [0, 1])
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
    data = coco(tmp_path / "a", [1])
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


def record(accuracy, error):
    return {"results": {"top1": {"accuracy": accuracy, "standard_error": error}}, "effective_rank": {"value": 9.0}}


@pytest.mark.parametrize(("accuracy", "above"), [(30.1, True), (29.9, False)])
def test_two_standard_errors_of_the_difference_decide(accuracy, above):
    found = row("x", record(accuracy, 3.0), {"seconds": 2.0}, record(20.0, 4.0))
    assert found["difference_error"] == 5.0
    assert found["above_random"] is above
    assert ("yes" if above else "no") in as_table([found])


@pytest.mark.slow
def test_a_row_is_trained_judged_and_not_trained_again(tmp_path, capsys):
    data, out = folders(tmp_path, [1] * 12), tmp_path / "runs"
    command = ["--data", str(data), "--out", str(out), "--methods", "byol", "--iterations", "2", "--size", "32"]
    assert main([*command, "--batch", "4", "--json", str(tmp_path / "f.json")]) == 0
    first = (out / "byol" / "backbone.safetensors").stat().st_mtime_ns
    assert main([*command, "--batch", "4"]) == 0
    assert (out / "byol" / "backbone.safetensors").stat().st_mtime_ns == first
    names = [r["name"] for r in json.loads((tmp_path / "f.json").read_text())["rows"]]
    assert names == ["random weights", "byol"]
    assert "| byol " in capsys.readouterr().out
