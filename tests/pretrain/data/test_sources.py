import json
import shutil

import cv2
import numpy as np
import pytest

from pretrain.data.sources import ImageFiles, find_images, fingerprint, open_source
from pretrain.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Four images in two folders, and a file that is none."""
    rng = np.random.default_rng(0)
    for k in range(4):
        path = tmp_path / "images" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(exist_ok=True, parents=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (20, 30, 3), np.uint8))
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def names(source):
    return [source.name(k).rsplit("/", 1)[-1] for k in range(len(source))]


def test_a_folder_is_searched_recursively_and_sorted(folder):
    source = open_source([folder])
    assert names(source) == ["0.png", "2.png", "1.png", "3.png"]
    assert source.read(1) == (folder / "a" / "2.png").read_bytes()
    assert source.root == folder
    assert source.paths == find_images(folder)
    assert source.shards is None


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_a_folder_without_images_says_what_was_looked_for(tmp_path, what):
    folder = tmp_path / what
    if what == "empty":
        folder.mkdir()
    with pytest.raises(InputError, match=r"--data: expected .* found no"):
        open_source([folder])


def test_the_fingerprint_changes_with_names_and_sizes(folder):
    before = open_source([folder]).fingerprint
    assert before == fingerprint(folder, find_images(folder))
    (folder / "a" / "0.png").write_bytes(b"x")
    changed = open_source([folder]).fingerprint
    assert changed != before
    (folder / "a" / "0.png").rename(folder / "a" / "00.png")
    assert open_source([folder]).fingerprint != changed


def test_a_file_that_went_away_is_an_unreadable_image(folder):
    source = open_source([folder])
    (folder / "a" / "0.png").unlink()
    assert source.read(0) == b""


def test_several_folders_are_one_source(folder):
    source = open_source([folder / "b", folder / "a"])
    assert names(source) == ["1.png", "3.png", "0.png", "2.png"]
    assert source.root is None
    assert source.fingerprint != open_source([folder / "a", folder / "b"]).fingerprint
    assert source.described == f"{folder / 'b'} {folder / 'a'}"


def test_a_list_names_files_from_where_it_lies(folder):
    path = folder / "list.txt"
    path.write_text(f"b/1.png\n\n  a/0.png  \n{folder / 'a' / '2.png'}\n")
    source = open_source([path])
    assert names(source) == ["1.png", "0.png", "2.png"]
    assert isinstance(source, ImageFiles)
    assert source.root is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a/0.png\na/9.png\n", r"expected 2 files, found 1 of them missing .*9\.png"),
        (b"\n \n", "expected a file name on each line, found none"),
        (b"\xff\xfe\x00", "in UTF-8, found other bytes"),
        (None, "found nothing at"),
    ],
)
def test_a_wrong_list_is_one_line(folder, content, message):
    if content is not None:
        (folder / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        open_source([folder / "list.txt"])
    assert "\n" not in str(error.value)


def coco(path, files):
    path.write_text(json.dumps({"images": [{"id": k, "file_name": f} for k, f in enumerate(files)]}))
    return path


def test_annotations_choose_images_by_path_or_name(folder, tmp_path):
    assert names(open_source([folder], coco(tmp_path / "x.json", ["a/2.png", "b/1.png"]))) == ["2.png", "1.png"]
    assert names(open_source([folder], coco(tmp_path / "y.json", ["3.png"]))) == ["3.png"]
    both = open_source([folder / "a", folder / "b"], coco(tmp_path / "z.json", ["3.png", "0.png"]))
    assert names(both) == ["0.png", "3.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [{"file_name": "7.png"}, {"file_name": "0.png"}]}', "expected its 2 images .* found 1 .*7.png"),
        ('{"images": []}', "expected images, found an empty list"),
        ('{"annotations": []}', "file_name for each of its images, found something else"),
        ("no json", "file_name for each of its images, found something else"),
        ("[1]", "file_name for each of its images, found something else"),
    ],
)
def test_wrong_annotations_are_one_line(folder, tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=message):
        open_source([folder], tmp_path / "x.json")


def test_missing_annotations_are_named(folder, tmp_path):
    with pytest.raises(InputError, match="--annotations: expected a COCO file, found nothing"):
        open_source([folder], tmp_path / "x.json")


def test_names_that_are_not_utf8_survive(folder):
    odd = folder.joinpath("a", "caf\udce9.png")
    try:
        shutil.copy(folder / "a" / "0.png", odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    source = open_source([folder])
    assert str(odd) in [source.name(k) for k in range(len(source))]
    assert all(source.read(k) for k in range(len(source)))


def test_what_systems_and_tools_hide_is_no_image(folder):
    before = open_source([folder])
    for name in ("._0.png", ".ipynb_checkpoints/0.png", "__MACOSX/a/0.png", "a/.hidden.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\5\26\7")
    assert names(open_source([folder])) == names(before)
    assert open_source([folder]).fingerprint == before.fingerprint


def test_a_hidden_tar_makes_no_shards_of_a_folder_of_images(folder, tmp_path):
    only = tmp_path / "only"
    only.mkdir()
    (only / "._x.tar").write_bytes(b"")
    with pytest.raises(InputError, match="found none"):
        open_source([only])


def test_a_byte_order_mark_is_read_over(folder, tmp_path):
    (folder / "list.txt").write_bytes(b"\xef\xbb\xbfb/1.png\n")
    assert names(open_source([folder / "list.txt"])) == ["1.png"]
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"images": [{"file_name": "0.png"}]}')
    assert names(open_source([folder], tmp_path / "x.json")) == ["0.png"]


@pytest.mark.parametrize("name", ["5", "null", "[1]"])
def test_file_names_that_are_no_texts_are_one_line(folder, tmp_path, name):
    (tmp_path / "x.json").write_text(f'{{"images": [{{"file_name": {name}}}]}}')
    with pytest.raises(InputError, match="file_name for each of its images, found something else"):
        open_source([folder], tmp_path / "x.json")
