import io
import sys
import time

from tqdm import tqdm

from pretrain.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """To be called in the test: pytest puts its own stderr in place before it."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.delenv("RANK", raising=False)
    return sys.stderr


def test_silent_where_nobody_watches(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    steps = [1, 2, 3]
    assert progress(steps, "counting", unit="img") is steps
    assert sys.stderr.getvalue() == ""


def test_silent_on_other_ranks_and_without_a_name(monkeypatch):
    terminal(monkeypatch)
    steps = [1, 2, 3]
    assert progress(steps, None, unit="img") is steps
    monkeypatch.setenv("RANK", "1")
    assert progress(steps, "counting", unit="img") is steps


def test_a_terminal_gets_a_bar_of_units_that_goes_when_it_is_done(monkeypatch):
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # no thread that outlives the test
    screen, done = terminal(monkeypatch), []
    for step in progress([1, 2, 3], "counting", unit="img", each=4):
        done.append(step)
        time.sleep(0.6)  # bars are drawn after a second
    assert done == [1, 2, 3]
    assert "counting" in screen.getvalue()
    assert "/12" in screen.getvalue()
    assert screen.getvalue().endswith(" \r")
