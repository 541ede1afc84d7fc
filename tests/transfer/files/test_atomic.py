import os
import stat

import pytest

from transfer.errors import InputError
from transfer.files import atomic


def test_a_file_is_written_whole_with_the_usual_rights(tmp_path):
    atomic.write_text(tmp_path / "new/file.txt", "grün")
    assert (tmp_path / "new/file.txt").read_bytes() == "grün".encode()
    (tmp_path / "plain").touch()
    assert stat.S_IMODE((tmp_path / "new/file.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    atomic.write_text(tmp_path / "file", "old")

    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        atomic.write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_appears_when_its_block_ends(tmp_path):
    (tmp_path / "out").mkdir()  # an empty folder may be taken
    with atomic.new_folder(tmp_path / "out") as folder:
        (folder / "file").write_text("content")
        assert not list((tmp_path / "out").iterdir())
    assert (tmp_path / "out/file").read_text() == "content"
    assert os.listdir(tmp_path) == ["out"]
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def interrupted(path):
    with atomic.new_folder(path) as folder:
        (folder / "file").write_text("half")
        raise KeyboardInterrupt


def test_a_folder_of_an_interrupted_block_does_not_appear(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_taken_place_is_refused(tmp_path, what):
    place = tmp_path / "out"
    if what == "file":
        place.touch()
    else:
        (place / "inside").mkdir(parents=True)
    with pytest.raises(InputError, match="expected a new or empty folder"), atomic.new_folder(place):
        pytest.fail("the block must not run")
