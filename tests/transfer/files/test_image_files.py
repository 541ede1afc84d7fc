import os

import pytest

from transfer.files import image_files


@pytest.mark.parametrize(
    ("name", "hidden"),
    [(".a.png", True), ("._a.png", True), ("__MACOSX", True), ("THUMBS.DB", True), ("@eaDir", True),
     ("System Volume Information", True), ("a.png", False), ("a.b.png", False), ("macosx", False), ("_a", False)],
)  # fmt: skip
def test_names_that_are_not_looked_at(name, hidden):
    assert image_files.is_hidden(name) == hidden


def test_files_below_a_folder_by_their_path(tmp_path):
    names = ["b/2.JPG", "b/10.jpg", "a/x.TiFf", "top.webp", "b/notes.txt", "jpg", ".ipynb_checkpoints/2.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    relative = [path.relative_to(tmp_path).as_posix() for path in image_files.find(tmp_path)]
    assert relative == ["a/x.TiFf", "b/10.jpg", "b/2.JPG", "top.webp"]
    assert image_files.find(tmp_path, deep=False) == [tmp_path / "top.webp"]
    assert image_files.find(tmp_path, (".txt",)) == [tmp_path / "b/notes.txt"]


def test_links_that_lead_nowhere_and_pipes_are_no_images(tmp_path):
    (tmp_path / "lost.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "a.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    assert [path.name for path in image_files.find(tmp_path)] == ["a.png", "link.png"]
