import gc
import json
from contextlib import suppress

import pytest

from transfer.errors import InputError
from transfer.files.json_files import REFUSALS, large_values, parse, read_bytes


def test_the_search_for_cycles_comes_back_however_the_block_ends():
    assert gc.isenabled()
    with suppress(KeyError), large_values():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_a_block_within_another_does_not_bring_it_back_early():
    with large_values():
        with large_values():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_whole_numbers_beyond_64_bits_keep_every_digit_when_asked(tmp_path):
    raw = json.dumps([2**64 + 1, -(2**70), 10**40]).encode()
    assert parse(raw, tmp_path, "numbers", exact=True) == [2**64 + 1, -(2**70), 10**40]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "is missing"),
        (b" \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b'{"a": "\xff"}', "is no UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "is no UTF-8"),
        (b'{"a": 1', "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"9" * 5000, "is no JSON"),
        (b'{"a": 1, "a": 2}', "has a key twice"),
    ],
)
def test_a_file_that_cannot_be_taken_is_one_line_of_the_table(tmp_path, content, why):
    file = tmp_path / "x.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as error:
        parse(read_bytes(file, "values"), file, "values")
    assert str(error.value).startswith(f"{file} {why}: expected values")
    assert len(str(error.value).splitlines()) == 1
    assert why in REFUSALS
