"""The first images of every class, as links."""

import cv2
import numpy as np
import pytest

from benchmarks.outputs import Failed
from benchmarks.sets.subset import link_subset


@pytest.fixture
def source(tmp_path):
    """Two classes of five training and three test images."""
    for split, count in (("train", 5), ("test", 3)):
        for name in ("cat", "dog"):
            folder = tmp_path / "source" / split / name
            folder.mkdir(parents=True)
            for k in range(count):
                cv2.imwrite(str(folder / f"{k}.png"), np.full((8, 8, 3), 40 * k, np.uint8))
    return tmp_path / "source"


def links(out):
    """Each link and where it leads, below the folder of all."""
    root = out.parent
    return {
        str(p.relative_to(out)): str(p.resolve().relative_to(root.resolve())) for p in out.rglob("*") if p.is_symlink()
    }


def test_the_first_of_each_class_are_linked(source, tmp_path):
    assert links(link_subset(source, tmp_path / "out", 4, 2)) == {
        **{f"train/{c}/{k}.png": f"source/train/{c}/{k}.png" for c in ("cat", "dog") for k in (0, 1)},
        **{f"val/{c}/0.png": f"source/test/{c}/0.png" for c in ("cat", "dog")},
    }


def test_a_held_out_val_follows_behind_train_and_leaves_test_unread(source, tmp_path):
    val = {k: v for k, v in links(link_subset(source, tmp_path / "out", 4, 2, held_out=True)).items() if k[0] == "v"}
    assert val == {f"val/{c}/2.png": f"source/train/{c}/2.png" for c in ("cat", "dog")}


def test_a_class_with_too_few_is_refused_and_no_complete_folder_left(source, tmp_path):
    with pytest.raises(Failed, match=r"test.cat: expected at least 4 images, found 3; ask for fewer"):
        link_subset(source, tmp_path / "out", 4, 8)
    assert not (tmp_path / "out/complete").exists()
    assert len(links(link_subset(source, tmp_path / "out", 4, 2))) == 6  # what was begun is finished


def test_a_complete_one_is_taken_as_it_is(source, tmp_path):
    out = link_subset(source, tmp_path / "out", 4, 2)
    (source / "train/cat/0.png").unlink()
    assert link_subset(source, tmp_path / "out", 4, 2) == out
