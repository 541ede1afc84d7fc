import os

import pytest

from benchmarks.processes import CHUNK, processes
from transfer.errors import InputError


def test_one_is_the_built_in_map():
    with processes(1) as mapped:
        assert mapped is map


def test_results_of_several_come_in_order():
    values = list(range(-2 * CHUNK, CHUNK))
    with processes(2) as mapped:
        assert list(mapped(abs, values)) == [abs(value) for value in values]


def test_a_killed_process_is_one_line():
    with pytest.raises(InputError, match=r"a process was killed: .*--workers 1$"), processes(2) as mapped:
        list(mapped(os._exit, [1]))


def test_no_process_is_refused():
    with pytest.raises(InputError, match="--workers: expected 1 or more, found 0"), processes(0):
        pass
