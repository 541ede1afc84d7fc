import os
import stat

import pytest

from pretrain.atomic import check_writable, whole, write_bytes, write_text
from pretrain.errors import InputError


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_can_be_read_by_whom_the_umask_says(tmp_path, umask):
    write_bytes(tmp_path / "a", b"content")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


def test_a_block_that_raises_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def interrupted():
        with whole(path) as partial:
            partial.write_text("after")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file_that_was_meant(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        write_text(tmp_path / "nowhere" / "a.txt", "x")
    assert error.value.filename == str(tmp_path / "nowhere" / "a.txt")


def test_a_full_disk_names_the_file_too(tmp_path):
    (tmp_path / ".a.txt.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error:
        write_text(tmp_path / "a.txt", "x" * 100_000)
    assert error.value.filename == str(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_can_be_written_to_is_left_as_it_was(tmp_path):
    check_writable(tmp_path / "a" / "b", "--work-dir")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "c").mkdir()
    check_writable(tmp_path / "c", "--work-dir")
    assert list((tmp_path / "c").iterdir()) == []


@pytest.mark.parametrize("below", [False, True])
def test_a_file_where_a_folder_belongs_is_refused(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    place = tmp_path / "file" / "run" if below else tmp_path / "file"
    with pytest.raises(InputError, match=f"--work-dir: expected a folder that can be written to, found {place}"):
        check_writable(place, "--work-dir")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_that_nobody_can_write_to_is_refused():
    with pytest.raises(InputError, match=r"found /proc/run \("):  # not even root can
        check_writable(__import__("pathlib").Path("/proc/run"), "--work-dir")


def test_a_device_or_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: expected a file's name, found a device or pipe"):
        write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]
