"""A folder's fingerprint is of names and bytes, and of nothing else."""

import hashlib

import pytest

from benchmarks.sets.fingerprints import fingerprint


@pytest.fixture
def folder(tmp_path):
    for name, content in {"b/2.txt": b"two", "a/1.txt": b"one", "top.txt": b""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_it_is_the_hash_of_what_is_promised(folder):
    digest = hashlib.sha256(b"a/1.txt\x003\x00one" + b"b/2.txt\x003\x00two" + b"top.txt\x000\x00")
    assert fingerprint(folder) == digest.hexdigest()


def test_a_fingerprint_sees_a_byte_and_a_name(folder):
    before = fingerprint(folder)
    (folder / "a/1.txt").rename(folder / "a/9.txt")
    renamed = fingerprint(folder)
    (folder / "a/9.txt").write_bytes(b"onE")
    assert len({before, renamed, fingerprint(folder)}) == 3


def test_parts_are_looked_at_alone_and_absent_or_empty_ones_count_for_nothing(folder):
    before = fingerprint(folder, ["b"])
    (folder / "a/1.txt").write_bytes(b"other")
    (folder / "b/empty").mkdir()
    assert fingerprint(folder, ["b", "absent"]) == before
    assert fingerprint(folder, ["a"]) != before
