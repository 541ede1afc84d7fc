import cv2
import numpy as np
import pytest

from pretrain.data import BatchOrder, TwoViews, UnreadableImages, collate, find_images, fingerprint, read_image
from pretrain.errors import InputError
from pretrain.views import ViewSettings


@pytest.fixture
def folder(tmp_path):
    """Eight images in two folders, one damaged, one empty, one tiny."""
    rng = np.random.default_rng(0)
    for k in range(8):
        path = tmp_path / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (20, 30, 3), np.uint8))
    (tmp_path / "a" / "damaged.jpg").write_bytes(b"\xff\xd8 not an image")
    (tmp_path / "a" / "empty.jpg").touch()
    cv2.imwrite(str(tmp_path / "b" / "tiny.png"), np.zeros((3, 3, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_images_are_found_recursively_and_sorted(folder):
    found = find_images(folder)
    assert len(found) == 11
    assert found == sorted(found)


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_a_folder_without_images_says_what_was_looked_for(tmp_path, what):
    folder = tmp_path / what
    if what == "empty":
        folder.mkdir()
    with pytest.raises(InputError, match=r"--data: expected .* found no"):
        find_images(folder)


def test_the_fingerprint_changes_with_names_and_sizes(folder):
    before = fingerprint(folder, find_images(folder))
    assert before == fingerprint(folder, find_images(folder))
    (folder / "a" / "empty.jpg").write_bytes(b"x")
    assert fingerprint(folder, find_images(folder)) != before


def test_unreadable_files_are_none(folder):
    for name in ("damaged.jpg", "empty.jpg"):
        assert read_image(folder / "a" / name) is None
    assert read_image(folder / "b" / "tiny.png") is None


def test_images_are_read_as_rgb(tmp_path):
    blue_in_bgr = np.zeros((10, 10, 3), np.uint8)
    blue_in_bgr[..., 0] = 255
    cv2.imwrite(str(tmp_path / "blue.png"), blue_in_bgr)
    assert read_image(tmp_path / "blue.png")[0, 0].tolist() == [0, 0, 255]


def test_an_unreadable_image_gives_way_and_is_named(folder):
    paths = find_images(folder)
    views = TwoViews(paths, ViewSettings(size=16), seed=0)
    damaged = next(k for k, p in enumerate(paths) if p.name == "damaged.jpg")
    sample = views[(0, damaged)]
    assert [name.rsplit("/", 1)[-1] for name in sample.unreadable] == ["damaged.jpg", "empty.jpg"]
    batch = collate([sample, views[(0, 0)]])
    assert batch["views"].shape == (2, 2, 3, 16, 16)
    assert len(batch["unreadable"]) == 2


def test_views_depend_on_seed_epoch_and_image_only(folder):
    paths = find_images(folder)
    views = [
        TwoViews(paths, ViewSettings(size=16), seed)[key].views for seed, key in ((0, (0, 0)), (0, (1, 0)), (1, (0, 0)))
    ]
    again = TwoViews(paths, ViewSettings(size=16), 0)
    again[(3, 4)]
    assert np.array_equal(again[(0, 0)].views, views[0])
    assert not np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])
    assert not np.array_equal(views[0][0], views[0][1])


def test_the_batch_order_is_a_permutation_each_epoch_and_can_start_anywhere():
    whole = list(BatchOrder(10, 3, 7, seed=4))
    assert [b[0][0] for b in whole] == [0, 0, 0, 1, 1, 1, 2]
    first = [k for batch in whole[:3] for _, k in batch]
    assert len(set(first)) == 9
    assert [k for b in whole[:3] for _, k in b] != [k for b in whole[3:6] for _, k in b]
    for start in range(7):
        order = BatchOrder(10, 3, 7, seed=4)
        order.start = start
        assert list(order) == whole[start:]
        assert len(order) == 7 - start


def test_too_few_images_for_a_batch_are_named():
    with pytest.raises(InputError, match=r"data.batch = 8, found 5"):
        BatchOrder(5, 8, 1, 0)


def test_unreadable_images_are_counted_once_and_stop_the_run():
    counter = UnreadableImages(100, max_share=0.02)
    assert counter.add(["a", "b", "a"]) == ["a", "b"]
    assert counter.add(["b"]) == []
    with pytest.raises(InputError, match=r"at most 2% of 100, found 3"):
        counter.add(["c"])
