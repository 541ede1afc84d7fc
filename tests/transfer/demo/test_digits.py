import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

from transfer.demo import digits

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SMALL = ["--train", "24", "--val", "12", "--unlabeled", "5", "--size", "64"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("digits") / "data"
    assert digits.main(["--out", str(out), *SMALL]) == 0
    return out


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_command_writes_the_same_bytes(data, tmp_path):
    assert digits.main(["--out", str(tmp_path / "again"), *SMALL]) == 0
    assert contents(tmp_path / "again") == contents(data)


def test_another_seed_writes_other_images(data, tmp_path):
    assert digits.main(["--out", str(tmp_path / "other"), *SMALL, "--seed", "1"]) == 0
    first = "coco/train/train_000000.jpg"
    assert contents(tmp_path / "other")[first] != contents(data)[first]


def test_an_image_does_not_depend_on_how_many_there_are(data, tmp_path):
    assert digits.main(["--out", str(tmp_path / "few"), "--train", "3", "--val", "2", "--size", "64", *SMALL[4:6]]) == 0
    few, many = contents(tmp_path / "few"), contents(data)
    assert {k for k in few if k.endswith(("jpg", "png", "xml"))} <= set(many)
    assert all(few[k] == many[k] for k in few if k.endswith(("jpg", "png", "xml")))


def test_the_set_is_complete_and_its_masks_are_those_of_the_scenes(data):
    sources = digits.Sources(digits.CLASSES)
    for split, count in (("train", 24), ("val", 12)):
        coco = COCO(data / f"coco/annotations/instances_{split}.json")
        assert len(coco.imgs) == count
        for i, image_id in enumerate(sorted(coco.imgs)):
            scene = digits.make_scene(sources, split, i, 64, 0)
            annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image_id]))
            masks = np.stack([coco.annToMask(a) for a in annotations]).astype(bool)
            np.testing.assert_array_equal(masks, scene.masks)
            pixels = np.asarray(Image.open(data / f"coco/{split}" / coco.imgs[image_id]["file_name"]).convert("RGB"))
            assert np.abs(pixels.astype(int) - scene.image).mean() < 6  # JPEG
            encoded = rle.encode(np.asfortranarray(scene.masks.transpose(1, 2, 0).astype(np.uint8)))
            assert rle.area(encoded).tolist() == [a["area"] for a in annotations]
    assert len(list((data / "unlabeled").glob("*.jpg"))) == 5


def test_train_and_val_share_no_digit_and_no_pixel_of_a_photograph(data):
    used = {}
    for split in ("train", "val"):
        content = json.loads((data / f"coco/annotations/instances_{split}.json").read_text())
        columns = {}
        for image in content["images"]:
            x, _, side, _ = image["source"]["box"]
            columns.setdefault(image["source"]["photo"], set()).update(range(x, x + side))
        used[split] = ({a["shape_id"] for a in content["annotations"]}, columns)
        assert len(columns) == 2
    assert not used["train"][0] & used["val"][0]
    assert not any(used["train"][1][photo] & used["val"][1][photo] for photo in used["train"][1])


def test_unlabelled_images_use_trains_half_only():
    sources = digits.Sources(digits.CLASSES)
    held_out = {shape.shape_id for shapes in sources.shapes["val"] for shape in shapes}
    for i in range(40):
        scene = digits.make_scene(sources, "unlabeled", i, 64, 0)
        assert not held_out & set(scene.shape_ids)
        x, _, side, _ = scene.source["box"]
        assert x + side <= digits.TRAIN_WIDTH * 640
        labelled = digits.make_scene(sources, "train", i, 64, 0)
        assert not np.array_equal(scene.image, labelled.image)


def test_objects_are_as_large_and_as_many_as_promised():
    sources = digits.Sources(digits.CLASSES)
    counts, labels = set(), set()
    for i in range(40):
        scene = digits.make_scene(sources, "train", i, 96, 0)
        counts.add(len(scene.labels))
        labels.update(scene.labels)
        if not any(scene.covered):
            heights = [np.flatnonzero(mask.any(axis=1)) for mask in scene.masks]
            assert all(0.25 * 96 <= rows[-1] - rows[0] + 1 <= 0.65 * 96 for rows in heights)
    assert counts == {1, 2, 3}
    assert labels == {0, 1, 2}


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep")
    assert digits.main(["--out", str(tmp_path), *SMALL]) == 1
    error = capsys.readouterr().err
    assert "expected a new or empty folder" in error
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--size", "9"], "--size: expected 48-512 pixels, found 9"),
        (["--classes", "1", "1"], "--classes: expected different digits 0-9, found 1 1"),
        (["--classes", "11"], "--classes"),
        (["--train", "0"], "expected 1 or more"),
    ],
)
def test_bad_settings_get_one_line_and_leave_nothing(tmp_path, capsys, flags, message):
    assert digits.main(["--out", str(tmp_path / "out"), *flags]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_failure_midway_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "jpeg", lambda image: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        digits.write(tmp_path / "out", digits.Settings(train=1, val=1, unlabeled=1))
    assert not list(tmp_path.iterdir())
