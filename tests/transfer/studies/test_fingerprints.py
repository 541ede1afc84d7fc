"""Fingerprints: they change with what determines a step, and with nothing else."""

import os

import pytest

from transfer.errors import InputError
from transfer.studies.fingerprints import fingerprint, key_of


def test_values_have_a_key_whatever_their_order():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert len({key_of(value) for value in ({"a": 1}, {"a": "1"}, {"a": 1.5}, {"a": [1]}, [["a", 1]], None)}) == 6
    assert key_of("a", "b") != key_of("ab")
    assert len(key_of(1)) == 12


def test_a_file_is_its_content_and_a_folder_its_names_and_sizes(tmp_path):
    (tmp_path / "below").mkdir()
    file = tmp_path / "below/a"
    file.write_text("one")
    before = (fingerprint(file), fingerprint(tmp_path))
    file.write_text("three")
    assert fingerprint(file) != before[0]
    assert fingerprint(tmp_path) != before[1]
    file.write_text("one")
    os.utime(file, (0, 0))
    assert (fingerprint(file), fingerprint(tmp_path)) == before
    file.rename(tmp_path / "below/b")
    assert fingerprint(tmp_path) != before[1]
    assert fingerprint(tmp_path / "below/b") == before[0]


def test_the_same_names_in_another_folder_are_another_listing(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder / "x").mkdir(parents=True)
    (tmp_path / "one/x/a").write_text("1")
    (tmp_path / "two/a").write_text("1")
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")


def test_nothing_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: expected a file or folder, found No such file"):
        fingerprint(tmp_path / "none.pth")
