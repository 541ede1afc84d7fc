"""One line and an exit code for whatever the user or the machine has to put right."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from transfer.errors import InputError, Interrupted
from transfer.exit_codes import exit_code

ROOT = Path(__file__).parents[2]


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a: expected b,\nfound c; do d"), 1, "p: a: expected b, found c; do d"),
        (PermissionError(errno.EACCES, "Permission denied", "x/y"), 1, "p: x/y: expected a place that may be read and"),
        (OSError(errno.ENOSPC, "No space left on device", "x/y"), 1, "p: x/y: expected room for the output, found No"),
        (OSError(errno.EROFS, "Read-only file system", "x"), 1, "p: x: expected a place that can be written, found"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "x/y"), 1, "p: x/y: expected a folder, found Not a dir"),
        (OSError("something odd"), 1, "p: the system: expected it to work, found something odd; put it right"),
        (Interrupted("saved; go on", signal.SIGTERM), 143, "p: saved; go on"),
        (KeyboardInterrupt(), 130, "p: interrupted"),
    ],
)
def test_one_line_and_an_exit_code(capsys, error, code, line):
    assert exit_code("p", raising(error)) == code
    shown = capsys.readouterr().err
    assert shown.startswith(line)
    assert shown.count("\n") == 1


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_code("p", raising(ZeroDivisionError()))


def test_a_reader_that_has_gone_is_no_error():
    """As in `python -m transfer --help | head -1`, with output enough to fill a pipe."""
    code = "from transfer.exit_codes import exit_code; import sys; sys.exit(exit_code('p', lambda: print('x' * 10**6)))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
