import io
import sys
from contextlib import suppress

from transfer import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_is_told_how_far_the_work_is_and_the_line_goes_away(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)  # not in a fixture: pytest puts its own there before the test
    monkeypatch.setattr(progress, "SILENT", 0.0)
    with suppress(KeyError), progress.progress("resampling images", 4, "runs") as line:
        line.mininterval = 0
        line.update(0.25)
        assert "resampling images: 0.25 of 4 runs, " in terminal.getvalue()
        line.update(1)
        assert "resampling images: 1.25 of 4 runs, " in terminal.getvalue()
        raise KeyError  # whose message gets a line of its own
    assert terminal.getvalue().rpartition("\r")[2] == ""
    assert terminal.getvalue().split("\r")[-2].strip() == ""


def test_work_that_is_soon_done_gets_no_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.progress("resampling images", 2, "runs") as line:
        line.mininterval = 0
        line.update(1)
    assert terminal.getvalue().strip() == ""


def test_a_file_gets_nothing(monkeypatch):
    monkeypatch.setattr(progress, "SILENT", 0.0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress.progress("resampling images", 2, "runs") as line:
        line.update(2)
    assert sys.stderr.getvalue() == ""
