import gc
from contextlib import suppress

from transfer.files.json_files import large_values


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
