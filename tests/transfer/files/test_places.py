import os
import tempfile

import pytest

from transfer.errors import InputError
from transfer.files import atomic, places


def test_a_place_below_folders_that_are_still_to_be_made_is_good_and_stays_empty(tmp_path):
    places.check_file(tmp_path / "a/b/file")
    places.check_folder(tmp_path / "a/b")
    assert os.listdir(tmp_path) == []


def test_a_file_is_replaced_only_where_that_is_meant(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file is taken: expected a new file, found one"):
        places.check_file(tmp_path / "file")
    places.check_file(tmp_path / "file", replace=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_where_a_file_belongs_and_the_reverse(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected a file's name, found a folder"):
        places.check_file(tmp_path, replace=True)
    with pytest.raises(InputError, match="expected a folder, found a file"):
        places.check_folder(tmp_path / "file")
    for check in (places.check_file, places.check_folder):
        with pytest.raises(InputError, match=r"out cannot be written: expected a folder at .*file, found a file"):
            check(tmp_path / "file/sub/out")


def test_a_full_disk_is_noticed(tmp_path, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return False

        def write(self, content):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: Full())
    with pytest.raises(InputError, match="expected a folder that takes files, found No space left on device at"):
        places.check_folder(tmp_path)


def test_a_relative_name_is_tried_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places.check_file("file")
    places.check_folder("folder")
    assert os.listdir(tmp_path) == []


def test_a_device_or_a_pipe_is_no_place_for_a_file(tmp_path):
    """A file that appears whole takes the place of what is there: of /dev/null it would be for everyone."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        for write in (lambda path: places.check_file(path, replace=True), lambda path: atomic.write_text(path, "x")):
            with pytest.raises(InputError, match=f"{name}: expected a file's name, found a device or pipe"):
                write(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_an_input_is_not_written_over_even_where_replacing_is_meant(tmp_path):
    (tmp_path / "truth.json").write_text("mine")
    (tmp_path / "link").symlink_to("truth.json")
    os.link(tmp_path / "truth.json", tmp_path / "second name")
    for name in ("truth.json", "link", "second name"):
        with pytest.raises(InputError, match=f"{name}: expected a file beside the inputs, found .*truth.json"):
            places.check_file(tmp_path / name, replace=True, inputs=[None, tmp_path / "truth.json"])
    places.check_file(tmp_path / "new", replace=True, inputs=[tmp_path / "gone.json", tmp_path / "truth.json"])
