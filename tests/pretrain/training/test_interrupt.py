import multiprocessing
import os
import signal
import threading

import pytest

from pretrain.training import interrupt
from pretrain.training.interrupt import Interrupt, ignore_signals, signals_held

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def _handlers():
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert before == {s: signal.getsignal(s) for s in before}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered(signum):
    with Interrupt() as asked:
        assert asked.signum == 0
        os.kill(os.getpid(), signum)
        assert asked.signum == signum


def test_a_second_ctrl_c_ends_at_once_but_not_the_launchers_copy(monkeypatch):
    with Interrupt() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # the terminal sends one to the whole group, a launcher passes on its own
        assert asked.signum == signal.SIGINT
        monkeypatch.setattr(interrupt, "_ONE_WISH", 0.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_another_thread_leaves_the_signals_alone():
    handlers = []

    def work():
        with Interrupt():
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_a_forked_process_has_the_signals_that_were_there_before():
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    with Interrupt() as asked:
        child = os.fork()
        if not child:
            os._exit(0 if before == {s: signal.getsignal(s) for s in before} else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        os.kill(os.getpid(), signal.SIGTERM)  # while this process still catches them
        assert asked.signum == signal.SIGTERM


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
