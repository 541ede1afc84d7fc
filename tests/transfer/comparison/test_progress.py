import sys
from contextlib import suppress

import pytest

from transfer.comparison import bootstrap


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows what the test sets."""
    now = [0.0]
    monkeypatch.setattr(bootstrap.time, "monotonic", lambda: now[0])
    return now


def test_it_is_said_how_long_it_still_takes_once_it_takes_long(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with suppress(KeyError), bootstrap.Progress("resampling images", 4, "runs") as line:
        clock[0] = 1.0
        line.add(1)
        assert capsys.readouterr().err == ""
        clock[0] = 5.0
        line.part(0.5)(0.5)
        assert capsys.readouterr().err.endswith("resampling images: 1.2 of 4 runs, 11 s left")
        line.add(0.25)  # too soon for another line
        assert capsys.readouterr().err == ""
        raise KeyError  # whose message gets a line of its own
    assert capsys.readouterr().err == "\r\033[K"


def test_work_that_is_soon_done_and_a_file_get_no_line(clock, capsys):
    with bootstrap.Progress("resampling images", 2, "runs") as line:
        clock[0] = 100.0
        line.add(1)
    assert capsys.readouterr().err == ""
