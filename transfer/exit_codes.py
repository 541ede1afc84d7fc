"""What a command makes of an error: what is wrong outside the program is one line and exit 1, never a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from transfer.errors import InputError, Interrupted

# What the system says -> what a command needs there, and what to do; docs/checks.md shows the table.
OUTSIDE = {
    errno.ENOSPC: ("room for the output", "make room"),
    errno.EDQUOT: ("room in the quota", "make room"),
    errno.EFBIG: ("room for the output", "make room"),
    errno.EROFS: ("a place that can be written", "name another"),
    errno.EACCES: ("a place that may be read and written", "name another, or change its rights"),
    errno.EPERM: ("a place that may be read and written", "name another, or change its rights"),
    errno.ENOENT: ("it to be there", "was it moved meanwhile?"),
    errno.ENOTDIR: ("a folder", "a file stands where a folder belongs: name another"),
    errno.EEXIST: ("a free place", "a file stands there: name another"),
    errno.EISDIR: ("a file", "a folder stands where a file belongs: name another"),
    errno.ENAMETOOLONG: ("a shorter name", "name another"),
    errno.EMFILE: ("another file to be opened", "raise the limit: ulimit -n"),
}


def exit_code(prog: str, work: Callable[[], int]) -> int:
    """Return what ``work`` returns; what the user or the machine has to put right becomes one line, after ``prog``."""
    try:
        code = work()
        sys.stdout.flush()  # a reader that has gone is noticed here, not when Python ends
        return code
    except InputError as error:
        message = str(error)
    except BrokenPipeError:  # `| head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        message = outside(error)
    except Interrupted as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 128 + error.signum
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    print(f"{prog}: {' '.join(message.split())}", file=sys.stderr)
    return 1


def outside(error: OSError) -> str:
    """Return the line for what the system refused."""
    place = error.filename if error.filename is not None else "the system"
    expected, action = OUTSIDE.get(error.errno or 0, ("it to work", "put it right, then start again"))
    return f"{place}: expected {expected}, found {error.strerror or error}; {action}"
