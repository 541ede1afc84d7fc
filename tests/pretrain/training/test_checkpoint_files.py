"""Which of the files in a folder can be trusted; small files here, a real run's in test_checkpoints.py."""

import pytest
import torch

from pretrain.errors import InputError
from pretrain.training.checkpoint_files import checkpoint_name, damage, find_checkpoints, last_good, newest_sound


@pytest.fixture
def folder(tmp_path):
    """Checkpoints after 9, 10 and 100 iterations, and files that are none."""
    for iteration in (100, 9, 10):
        torch.save({"x": torch.arange(1000)}, tmp_path / checkpoint_name(iteration))
    (tmp_path / "best.pth").write_bytes(b"")
    (tmp_path / ".iteration_00000101.pth.partial").write_bytes(b"")
    return tmp_path


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_they_are_sorted_by_iteration_and_nothing_else_is_one(folder):
    assert [p.name for p in find_checkpoints(folder)] == [checkpoint_name(k) for k in (9, 10, 100)]
    assert last_good(folder) == f"the last good checkpoint is {folder / checkpoint_name(100)}"
    assert last_good(folder / "nowhere") == "there is no checkpoint yet"


def test_the_newest_that_is_whole_is_taken_and_the_others_set_aside(folder):
    assert newest_sound(folder) == folder / checkpoint_name(100)
    flip_a_bit(folder / checkpoint_name(100))
    (folder / checkpoint_name(10)).write_bytes(b"PK")
    assert newest_sound(folder) == folder / checkpoint_name(9)
    assert {p.name for p in folder.glob("*.damaged")} == {f"{checkpoint_name(k)}.damaged" for k in (10, 100)}


def test_no_checkpoint_is_none_and_only_damaged_ones_are_an_error(folder, tmp_path):
    assert newest_sound(tmp_path / "nowhere") is None
    for path in find_checkpoints(folder):
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="found all 3 damaged"):
        newest_sound(folder)


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_seen_wherever_a_tensor_lies(folder, at):
    path = folder / checkpoint_name(9)
    assert damage(path) is None
    content = bytearray(path.read_bytes())
    start, length = content.index(torch.arange(1000).numpy().tobytes()), 8000
    content[start + int(at * length)] ^= 1
    path.write_bytes(content)
    assert "does not fit its checksum" in damage(path)
