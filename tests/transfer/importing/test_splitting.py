from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfer.errors import InputError
from transfer.importing import splitting
from transfer.importing.objects import LabelledImage
from transfer.importing.splitting import Request, deal, parse


def images(folder, names, alike=()):
    """Noise; images in ``alike`` are of one brightness, each other one of its own."""
    listed = []
    for k, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        level = 0 if name in alike else 25 * k
        Image.fromarray(np.full((16, 20, 3), level, np.uint8) + np.uint8([[[k % 3, 0, 0]]])).save(file)
        listed.append(LabelledImage(file, Path(name), 20, 16))
    return listed


def sides(names, done):
    return {split: {names[i] for i in members} for split, members in done.parts.items()}


def test_shares():
    assert parse("80/20", None, 0) == Request({"train": 0.8, "val": 0.2})
    assert parse("70/15/15", "folder", 3) == Request({"train": 0.7, "val": 0.15, "test": 0.15}, "folder", 3)
    assert parse("66.5/33.5", None, 0).shares["train"] == 0.665


@pytest.mark.parametrize("text", ["", "80", "80/30", "100/0", "80/-20/40", "a/b", "25/25/25/25", "nan/20"])
def test_other_texts_are_no_shares(text):
    with pytest.raises(InputError, match="--split: expected shares"):
        parse(text, None, 0)


def test_image_by_image_the_shares_are_met(tmp_path):
    names = [f"{k}.png" for k in range(10)]
    listed = images(tmp_path, names)
    done = splitting.split(listed, parse("70/20/10", None, 0))
    assert {name: len(members) for name, members in done.parts.items()} == {"train": 7, "val": 2, "test": 1}
    assert done.parts == splitting.split(listed, parse("70/20/10", None, 0)).parts
    assert done.parts != splitting.split(listed, parse("70/20/10", None, 1)).parts


def test_a_prefix_keeps_images_together(tmp_path):
    names = [f"plate{p}_{k}.png" for p in range(4) for k in range(2)]
    done = splitting.split(images(tmp_path, names), parse("50/50", "prefix:plate(\\d+)_", 0))
    plates = {split: {name[:6] for name in own} for split, own in sides(names, done).items()}
    assert not plates["train"] & plates["val"]
    assert len(done.groups) == 4


def test_likeness_keeps_images_together_and_says_the_nearest_pair(tmp_path):
    names = [f"{k}.png" for k in range(8)]
    done = splitting.split(images(tmp_path, names, alike=("0.png", "4.png", "7.png")), parse("50/50", "likeness", 0))
    assert done.groups[0] == [0, 4, 7]
    a, b, distance = done.nearest
    assert a in done.parts["train"]
    assert b in done.parts["val"]
    assert distance > 0.12


def test_the_same_bytes_join_groups(tmp_path):
    names = ["a/1.png", "a/2.png", "b/1.png", "c/1.png"]
    listed = images(tmp_path, names)
    listed[2].file.write_bytes(listed[0].file.read_bytes())
    done = splitting.split(listed, parse("50/50", "folder", 0))
    assert done.groups == [[0, 1, 2], [3]]


def test_images_inside_label_files_are_compared_as_well():
    def inside(content):
        return LabelledImage(Path("x.json"), Path("x.png"), 4, 4, embedded=lambda: content)

    done = splitting.split([inside(b"1"), inside(b"2"), inside(b"1"), inside(b"3")], parse("50/50", None, 0))
    assert [0, 2] in done.groups


def test_too_few_groups_are_refused(tmp_path):
    with pytest.raises(InputError, match="found 1 of 2 images, the largest of 2"):
        splitting.split(images(tmp_path, ["a.png", "b.png"]), parse("50/50", "folder", 0))


def test_a_damaged_image_is_one_line(tmp_path):
    listed = images(tmp_path, ["a.png", "b.png"])
    listed[0].file.write_bytes(listed[0].file.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"a.png cannot be read"):
        splitting.split(listed, parse("50/50", "likeness", 0))


def test_whole_groups_are_dealt_out_the_largest_first():
    parts = deal([list(range(6)), [6, 7], [8], [9]], {"train": 0.6, "val": 0.2, "test": 0.2}, seed=0)
    assert parts["train"] == [0, 1, 2, 3, 4, 5]
    assert {len(parts["val"]), len(parts["test"])} == {2}
