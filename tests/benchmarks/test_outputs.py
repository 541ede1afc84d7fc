"""How the benchmarks' command lines end."""

import pytest

from benchmarks import outputs
from pretrain.errors import InputError as PretrainInputError
from transfer.errors import InputError as TransferInputError


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize("kind", [outputs.Failed, PretrainInputError, TransferInputError, OSError])
def test_what_is_expected_to_go_wrong_is_one_line_and_1(kind, capsys):
    assert outputs.status("benchmarks.x", raising(kind("expected A, found B")), "nothing was written") == 1
    assert capsys.readouterr() == ("", "benchmarks.x: expected A, found B\n")


def test_an_interrupt_is_one_line_and_130(capsys):
    assert outputs.status("benchmarks.x", raising(KeyboardInterrupt()), "nothing was written") == 130
    assert capsys.readouterr().err == "benchmarks.x: interrupted; nothing was written\n"


def test_anything_else_is_a_fault_of_ours_and_passes():
    with pytest.raises(KeyError):
        outputs.status("benchmarks.x", raising(KeyError("a")), "nothing was written")


def test_work_that_ends_is_0(capsys):
    assert outputs.status("benchmarks.x", lambda: 5, "nothing was written") == 0
    assert capsys.readouterr() == ("", "")
