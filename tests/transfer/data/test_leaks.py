import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.cases.coco_sets import write_coco
from tests.cases.records import make_record
from tests.transfer.reporting.test_markdown import summary
from transfer.data import leaks, splits
from transfer.errors import InputError
from transfer.records import record_file
from transfer.records.record import Leaks
from transfer.reporting.wording import caveats


@pytest.fixture
def sets(tmp_path):
    """Six training images and four others to measure on, with names of their own."""
    train, val = write_coco(tmp_path / "train", 6), write_coco(tmp_path / "val", 4, seed=1)
    files = [[str(path) for path in sorted(Path(one[0]).iterdir())] for one in (train, val)]
    renamed = [str(Path(f).rename(Path(f).with_name(f"val_{Path(f).name}"))) for f in files[1]]
    return files[0], renamed


def test_sets_of_their_own_leak_nothing(sets):
    counts = leaks.find(*sets)
    assert counts == Leaks(0, 0, 0, 0)
    assert leaks.lines(counts) == []


def test_each_kind_is_counted_once_for_an_image(sets, tmp_path):
    train, val = sets
    folder = tmp_path / "more"
    folder.mkdir()
    copied = shutil.copy(train[1], folder / "copied.png")
    named = shutil.copy(val[0], folder / Path(train[2]).name)
    linked = folder / "through"
    linked.symlink_to(Path(train[0]).parent)  # another way to the same file
    counts = leaks.find(train, [*val, train[0], str(linked / Path(train[3]).name), copied, named])
    assert counts == Leaks(same_file=2, same_bytes=1, same_name=1, pretraining=0)
    assert [line.split(" ")[0] for line in leaks.lines(counts)] == ["2", "1", "1"]


def test_the_same_pixels_in_another_format_or_packed_anew_are_the_same_image(sets, tmp_path):
    train, val = sets
    (tmp_path / "more").mkdir()
    with Image.open(train[0]) as image, Image.open(val[0]) as other:
        again = [tmp_path / "more" / name for name in ("0.bmp", "0.PNG", "1.tiff", "2.BMP")]
        image.save(again[0])
        image.save(again[1], compress_level=1)
        other.save(again[2])  # a training image's name over another picture
        image.save(again[3])
    again[3].write_bytes(again[3].read_bytes()[:500])  # cut: of no known content
    assert leaks.find(train, list(map(str, again))) == Leaks(same_file=0, same_bytes=2, same_name=2, pretraining=0)


def test_of_very_many_names_in_common_only_some_are_decoded(sets, tmp_path, monkeypatch):
    train, _ = sets
    again = [tmp_path / f"{i}.bmp" for i in range(3)]
    for file in again:
        with Image.open(train[int(file.stem)]) as image:
            image.save(file)
    monkeypatch.setattr(leaks, "_MOST_DECODED", 2)
    assert leaks.find(train, list(map(str, again))) == Leaks(same_file=0, same_bytes=2, same_name=1, pretraining=0)


def test_only_files_of_one_size_are_read(sets, monkeypatch):
    train, val = sets
    Path(val[0]).write_bytes(b"x")
    read = []
    monkeypatch.setattr(leaks, "_digest", lambda file: read.append(file))
    leaks.find(train, val[:1])
    assert read == []


def test_files_that_are_gone_are_no_leak(sets):
    train, val = sets
    Path(val[0]).unlink()
    assert leaks.find([*train, "gone.png"], val) == Leaks(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("data", "count"),
    [
        ("{root}", 4),
        ("{root}/val", 4),
        ("{root}/train", 0),
        ("{root}/train {root}/val", 4),
        ("{root}/list.txt", 1),
        ("{root}/nowhere", 0),
        ("{root}/va", 0),  # the beginning of a name is not the folder
    ],
)
def test_what_the_weights_say_they_were_pretrained_on(sets, tmp_path, data, count):
    (tmp_path / "list.txt").write_text(f"val/images/{Path(sets[1][0]).name}\ntrain/images/0.png\n")
    counts = leaks.find(*sets, {"path": data.format(root=tmp_path), "images": 1, "fingerprint": "0"})
    assert counts.pretraining == count


@pytest.mark.parametrize("data", [None, {}, "text", {"path": None}, {"path": ""}, {"path": 5}])
def test_weights_that_say_nothing_of_their_data(sets, data):
    assert leaks.find(*sets, data).pretraining == 0


def test_the_same_annotations_for_both_are_refused(tmp_path):
    one, other = (
        splits.from_files(*write_coco(tmp_path / name, 3, seed=i), masks=True)[0] for i, name in enumerate("ab")
    )
    leaks.refuse_same_file(one, other)
    leaks.refuse_same_file(None, other)
    copy = shutil.copy(other.annotations, tmp_path / "copy.json")
    joined = replace(one, annotations=f"{one.annotations} + {other.annotations}")
    for train in (other, splits.from_files(other.images, str(copy), masks=True)[0], joined):
        with pytest.raises(InputError, match="expected another file to measure on than the one trained on"):
            leaks.refuse_same_file(train, other)


def test_the_files_of_a_set_are_at_hand_once_it_is_read(tmp_path):
    images, annotations = write_coco(tmp_path / "set", 3)
    split, _ = splits.from_files(images, annotations, masks=True)
    assert splits.image_files(split) == [f"{images}/{i}.png" for i in range(3)]


def test_a_record_carries_its_leaks_and_an_older_one_has_none(tmp_path):
    record = make_record()
    data = replace(record.data, leaks=Leaks(0, 2, 0, 1))
    record_file.write(tmp_path / "r.json", replace(record, data=data))
    assert record_file.read(tmp_path / "r.json").data == data
    content = json.loads((tmp_path / "r.json").read_text())
    del content["data"]["leaks"]
    (tmp_path / "r.json").write_text(json.dumps(content))
    assert record_file.read(tmp_path / "r.json").data.leaks is None
    content["data"]["leaks"] = {"same_file": 1}
    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="a field is missing"):
        record_file.read(tmp_path / "r.json")


def test_the_report_says_it():
    data = make_record().data
    leaking = [make_record(seed=s, data=replace(data, leaks=Leaks(0, 2, 0, 0))) for s in range(3)]
    clean = [make_record(seed=s) for s in range(3)]
    assert "2 val images have the bytes or pixels of a training image" in " ".join(caveats(summary(*leaking)))
    assert "(runs random-0)" in " ".join(caveats(summary(*leaking[:1], *clean[1:])))
    assert "val images have" not in " ".join(caveats(summary(*clean)))
