import re

import pytest

from tests.cases import tool_folders
from transfer.__main__ import main

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def data(source, out, *flags):
    return main(["data", str(source), "--to", str(out), *flags])


def test_a_folder_becomes_a_set_and_a_table(tmp_path, capsys):
    source = tool_folders.yolo_roboflow(tmp_path / "source")
    assert data(source, tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{source}: read as yolo"
    assert lines[2].split() == ["train", "2", "1", "2", "0", "2"]
    assert lines[3].split() == ["val", "1", "0", "1", "0", "1"]
    assert "classes: cat 1, dog 2; all with masks" in lines
    assert lines[-3:] == [str(tmp_path / "out" / name) for name in ("images", "train.json", "val.json")]


def test_every_flag_reaches_the_set(tmp_path, capsys):
    source = tool_folders.masks_dsb(tmp_path / "source")
    flags = ["--format", "masks", "--split", "34/33/33", "--group-by", "prefix:.", "--seed", "4", "--images", "symlink"]
    flags += [
        "--boxes",
        "--class",
        "nucleus",
        "--areas",
        "joined",
        "--crowds",
        "keep",
        "--skip-missing",
        "--depth",
        "12",
    ]
    assert data(source, tmp_path / "out", *flags) == 0
    printed = capsys.readouterr().out
    assert "nucleus 3; boxes only" in printed
    assert "note: 3 groups by prefix:., the largest of 1 of 3 images" in printed
    assert (tmp_path / "out/images/a.png").is_symlink()


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["--split", "1"], "--split"), (["--format", "x"], "--format"), (["--depth", "3"], "--depth")],
)
def test_bad_input_gets_one_line_and_writes_nothing(tmp_path, capsys, flags, message):
    source = tool_folders.labelme(tmp_path / "source")
    assert data(source, tmp_path / "out", *flags) == 1
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
