from pathlib import Path

from tests.cases.tool_folders import write_images
from transfer.importing import splitting
from transfer.importing.objects import LabelledImage, LabelledSet
from transfer.importing.parts import leak_lines, parts_of
from transfer.importing.tally import Tally


def labelled(*entries):
    images = [LabelledImage(Path(name), Path(name), 8, 8, split=split) for name, split in entries]
    return LabelledSet(images, ["cat"])


def test_a_set_without_splits_is_whole_and_in_order():
    parts, notes = parts_of(labelled(("b.png", None), ("a.png", None)), None, Tally())
    assert {name: [image.name.name for image in own] for name, own in parts.items()} == {
        "annotations": ["a.png", "b.png"]
    }
    assert notes == []


def test_the_sources_splits_keep_their_order_and_their_words():
    data = labelled(("a", "test"), ("b", "val"), ("c", "train"), ("d", "night shift"), ("e", None))
    assert list(parts_of(data, None, Tally())[0]) == ["train", "val", "test", "night_shift", "other"]


def test_a_group_of_more_than_half_is_said(tmp_path):
    write_images(tmp_path / "1", ["a.png", "b.png"])
    write_images(tmp_path / "2", ["c.png"])
    files = sorted(tmp_path.rglob("*.png"))
    data = LabelledSet([LabelledImage(file, Path(file.name), 64, 48, split="train") for file in files], ["cat"])
    tally = Tally()
    parts, notes = parts_of(data, splitting.parse("60/40", "folder", 0), tally)
    assert {name: len(own) for name, own in parts.items()} == {"train": 2, "val": 1}
    assert notes[0] == "2 groups by folder, the largest of 2 of 3 images"
    assert notes[1].startswith("more than half of the images are one group")
    assert tally.counts["pooled"] == 3


def test_leaks_are_said_of_each_split(tmp_path):
    write_images(tmp_path / "train", ["a.png", "b.png"])
    write_images(tmp_path / "test", ["a.png"])
    parts = {
        name: [LabelledImage(file, Path(file.name), 64, 48) for file in sorted((tmp_path / name).iterdir())]
        for name in ("train", "test")
    }
    assert leak_lines(parts) == [
        "1 test images have the bytes or pixels of a training image: the AP is partly that of learning by heart."
    ]
    assert leak_lines({"annotations": parts["test"]}) == []
