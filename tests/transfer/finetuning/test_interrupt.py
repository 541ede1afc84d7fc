import multiprocessing
import os
import signal

import pytest

from transfer.errors import Interrupted
from transfer.finetuning.interrupt import Interrupt, ignore_signals, signals_held

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A fork beside other threads is what Cityscapes' evaluation does.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def _handlers():
    before = {s: signal.getsignal(s) for s in SIGNALS}
    yield
    assert before == {s: signal.getsignal(s) for s in before}


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_ends_the_block_or_waits_for_the_end_of_the_iteration(signum):
    with pytest.raises(Interrupted) as caught, Interrupt():
        os.kill(os.getpid(), signum)
    assert caught.value.signum == signum
    with Interrupt() as interrupt, interrupt.deferred():
        os.kill(os.getpid(), signum)
        assert interrupt.asked() == signum


def test_a_forked_process_has_the_signals_that_were_there_before():
    before = {s: signal.getsignal(s) for s in SIGNALS}
    with Interrupt():
        child = os.fork()
        if not child:
            os._exit(0 if before == {s: signal.getsignal(s) for s in before} else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_signal_that_comes_while_a_process_is_forked_is_not_lost():
    never, held = os.pipe()
    with Interrupt():
        for _ in range(50):
            child = os.fork()
            if not child:
                os.read(never, 1)
                os._exit(1)
            os.kill(child, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    os.close(never)
    os.close(held)


def test_a_loader_process_lives_from_its_first_moment_on():
    with Interrupt():
        for _ in range(20):
            with signals_held():
                child = os.fork()
                if not child:
                    ignore_signals()
                    os._exit(0)
                os.kill(child, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_pool_that_is_forked_within_can_be_ended():
    """Its workers wait for a lock, where a signal that Python catches may never be seen."""
    with Interrupt():
        for _ in range(20):
            with multiprocessing.get_context("fork").Pool(4) as pool:
                assert pool.map(abs, [-1, 2]) == [1, 2]
