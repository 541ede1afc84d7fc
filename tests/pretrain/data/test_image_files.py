"""Which files of a folder are images."""

import pytest

from pretrain.data import image_files


def made(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def found_in(root, **options):
    return [path.relative_to(root).as_posix() for path in image_files.find(root, **options)]


def test_by_suffix_in_any_case_at_any_depth_in_the_order_of_paths(tmp_path):
    made(tmp_path, "b/2.JPG", "b/1.jpeg", "a.png", "c/d/e/x.webp", "notes.txt", "png", "archive.tar.gz")
    assert found_in(tmp_path) == ["a.png", "b/1.jpeg", "b/2.JPG", "c/d/e/x.webp"]
    assert found_in(tmp_path, deep=False) == ["a.png"]
    assert found_in(tmp_path, suffixes=(".txt",)) == ["notes.txt"]


@pytest.mark.parametrize(
    "name", [".a.png", "._a.png", ".git/a.png", "__MACOSX/a.png", "@eaDir/a.png", "$RECYCLE.BIN/a.png", "deep/.b/a.png"]
)
def test_what_systems_and_tools_hide_is_left_out(tmp_path, name):
    assert found_in(made(tmp_path, "seen.png", name)) == ["seen.png"]


def test_the_folder_asked_for_may_be_hidden(tmp_path):
    assert found_in(made(tmp_path / ".cache", "a.png")) == ["a.png"]


def test_a_folder_or_a_broken_link_of_such_a_name_is_no_image(tmp_path):
    made(tmp_path, "folder.png/inside.png", "a.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    assert found_in(tmp_path) == ["a.png", "folder.png/inside.png", "link.png"]


@pytest.mark.parametrize(
    ("name", "hidden"), [(".a", True), ("Thumbs.db", True), ("THUMBS.DB", True), ("thumbs.png", False), ("a.b", False)]
)
def test_hidden_names(name, hidden):
    assert image_files.is_hidden(name) is hidden
