"""What callers may rely on when they catch an error."""

import pickle
import signal

import pytest

import transfer
from transfer.errors import CheckpointError, InputError, Interrupted


def test_a_caller_catches_every_fault_of_the_input_by_one_name():
    assert transfer.InputError is InputError
    assert issubclass(CheckpointError, InputError)
    assert issubclass(InputError, ValueError)


def test_the_wish_to_stop_is_no_error_that_a_handler_swallows():
    assert issubclass(Interrupted, KeyboardInterrupt)
    assert not issubclass(Interrupted, Exception)  # which careless code catches


def test_the_message_and_the_signal_are_kept():
    error = Interrupted("saved; go on with --resume", signal.SIGTERM)
    assert (str(error), error.signum) == ("saved; go on with --resume", 15)


@pytest.mark.parametrize("kind", [InputError, CheckpointError])
def test_an_error_of_a_worker_process_arrives_whole(kind):
    error = pickle.loads(pickle.dumps(kind("a: expected b, found c; do d")))
    assert (type(error), str(error)) == (kind, "a: expected b, found c; do d")
