import hashlib
import json
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from benchmarks.sets import photographs
from benchmarks.sets.fingerprints import fingerprint
from benchmarks.sets.photographs import Settings, main, write
from tests.cases.cutout_sets import GREY, write_cutouts
from transfer.errors import InputError

SMALL = Settings(train=4, val=3, unlabeled=5, size=48, voc=True)
ARGUMENTS = ["--train", "4", "--val", "3", "--unlabeled", "5", "--size", "48", "--voc"]


@pytest.fixture(scope="module")
def cutouts(tmp_path_factory):
    return write_cutouts(tmp_path_factory.mktemp("cutouts"))


@pytest.fixture(scope="module")
def made(cutouts, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "small"
    write(out, cutouts, SMALL)
    return out


def pictures(folder, part):
    return {path.name: path.read_bytes() for path in (folder / part).glob("*.jpg")}


def test_processes_change_no_byte(cutouts, made, tmp_path):
    assert main(["--cutouts", str(cutouts), "--out", str(tmp_path / "two"), "--workers", "2", *ARGUMENTS]) == 0
    assert fingerprint(tmp_path / "two") == fingerprint(made)


def test_a_picture_depends_on_seed_split_and_number_alone(cutouts, made, tmp_path):
    write(tmp_path / "more", cutouts, Settings(train=6, val=1, unlabeled=0, size=48))
    write(tmp_path / "other", cutouts, Settings(train=4, val=3, unlabeled=5, size=48, seed=1))
    first, more, other = (
        pictures(folder, "coco/train2017") for folder in (made, tmp_path / "more", tmp_path / "other")
    )
    assert len(more) == 6
    assert first == {name: more[name] for name in first}
    assert not set(first.values()) & set(other.values())
    assert not (tmp_path / "more/unlabeled").exists()
    assert not (tmp_path / "more/VOC2007").exists()


def test_splits_come_from_their_own_files(made):
    for part, grey in (("coco/train2017", "train"), ("coco/val2017", "val"), ("unlabeled", "train")):
        for path in (made / part).glob("*.jpg"):
            brightest = np.percentile(np.asarray(Image.open(path))[..., 1], 95)  # the objects have no green
            assert brightest == pytest.approx(GREY[grey], abs=30)
    sets = [set(pictures(made, part).values()) for part in ("coco/train2017", "coco/val2017", "unlabeled")]
    assert [len(s) for s in sets] == [4, 3, 5]
    assert len(set.union(*sets)) == 12


def test_voc_holds_the_same_pictures_and_boxes_as_coco(made):
    for split, prefix, listed in (("train", "0", "trainval"), ("val", "1", "test")):
        content = json.loads((made / f"coco/annotations/instances_{split}2017.json").read_text())
        stems = (made / f"VOC2007/ImageSets/Main/{listed}.txt").read_text().split()
        assert stems == [f"{prefix}{i:05d}" for i in range(len(content["images"]))]
        for stem, image in zip(stems, content["images"], strict=True):
            same = (made / f"coco/{split}2017" / image["file_name"]).read_bytes()
            assert (made / f"VOC2007/JPEGImages/{stem}.jpg").read_bytes() == same
            root = ElementTree.parse(made / f"VOC2007/Annotations/{stem}.xml").getroot()
            boxes = [[int(e.text) for e in box] for box in root.iter("bndbox")]
            of_image = [a["bbox"] for a in content["annotations"] if a["image_id"] == image["id"]]
            assert boxes == [[x + 1, y + 1, x + w, y + h] for x, y, w, h in of_image]


def test_data_json_says_what_was_made_and_the_fingerprint_is_of_names_and_contents(made, cutouts):
    content = json.loads((made / "data.json").read_text())
    assert content["arguments"] == vars(SMALL)
    objects = [
        len(json.loads((made / f"coco/annotations/instances_{s}2017.json").read_text())["annotations"])
        for s in ("train", "val")
    ]
    assert content["counts"] == {
        "train": {"images": 4, "objects": objects[0]},
        "val": {"images": 3, "objects": objects[1]},
        "unlabeled": {"images": 5},
    }
    assert min(objects) > 0
    files = {p.relative_to(made).as_posix(): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    del files["data.json"]
    digest = hashlib.sha256(b"".join(f"{n}\0{len(files[n])}\0".encode() + files[n] for n in sorted(files)))
    assert content["fingerprint"] == digest.hexdigest()
    assert content["cutouts"] == fingerprint(cutouts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "0"], "--train, --val, --unlabeled: expected at least 1, 1 and 0, found 0, 300 and 6000"),
        (["--size", "16"], "--size: expected 32-640 pixels, found 16"),
        (["--max-objects", "0"], "--max-objects: expected 1 or more, found 0"),
        (["--voc", "--train", "100001"], "--voc: expected at most 100000 pictures"),
        (["--workers", "0"], "--workers: expected 1 or more, found 0"),
    ],
)
def test_arguments_that_cannot_be_used_are_one_line(cutouts, tmp_path, capsys, arguments, message):
    assert main(["--cutouts", str(cutouts), "--out", str(tmp_path / "out"), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_kept(cutouts, tmp_path, capsys):
    (tmp_path / "kept.txt").write_text("mine")
    assert main(["--cutouts", str(cutouts), "--out", str(tmp_path), *ARGUMENTS]) == 1
    assert "is taken" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_splits_that_share_a_file_are_refused_by_name_and_by_content(cutouts, tmp_path):
    for number, (source, target) in enumerate(
        [
            ("cutouts/train/chip/train_chip_0.png", "cutouts/val/blot/new.png"),
            ("backgrounds/val/val0.jpg", "backgrounds/val/train0.jpg"),
        ]
    ):
        folder = shutil.copytree(cutouts, tmp_path / str(number))
        shutil.copyfile(folder / source, folder / target)
        with pytest.raises(InputError, match=r"expected a file that train lacks, found it as .*train"):
            write(tmp_path / "out", folder, SMALL)
    assert not (tmp_path / "out").exists()


def test_a_category_that_train_lacks_is_refused(cutouts, tmp_path):
    folder = shutil.copytree(cutouts, tmp_path / "cutouts")
    (folder / "cutouts/val/blot").rename(folder / "cutouts/val/new")
    with pytest.raises(InputError, match="expected train to have val's categories, found no new"):
        write(tmp_path / "out", folder, SMALL)


def test_an_interruption_leaves_nothing(cutouts, tmp_path, monkeypatch, capsys):
    def interrupted(folder, made):
        next(made)
        assert any(path.name.startswith(".out.") for path in tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(photographs, "write_unlabelled", interrupted)
    arguments = ["--cutouts", str(cutouts), "--out", str(tmp_path / "out"), "--workers", "1", *ARGUMENTS]
    assert main(arguments) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
