"""The errors that mean: the input was at fault, or another process was, and this is what to do about it."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """An error in one line: an operating system's with its file, a loader process's without its traceback."""
    text = (str(error).strip() or type(error).__name__).splitlines()
    if len(text) > 1 and "Traceback" in "".join(text):  # PyTorch packs a loader's whole traceback into the message
        return text[-1].partition(": ")[2] or text[-1]
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return text[0]


def outside_fault(error: Exception) -> str | None:
    """One line for what the machine refused: a file, room, memory, a process; None for a fault of the program."""
    line, name = one_line(error), type(error).__name__
    if isinstance(error, OSError):
        return f"expected the system to do what was asked, found {line}; mend that and try again"
    if isinstance(error, MemoryError) or name == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return f"expected more memory, found {line}; use a smaller batch or fewer loader processes"
    if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
        return f"expected the loader processes to stay, found {line}; it is often memory: use fewer of them"
    return None


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line: what is wrong, expected X, found Y, what to do."""


class ReportedElsewhere(Exception):
    """All ranks stop for one reason, and rank 0 says which; the others end silently."""


class RankLost(RuntimeError):
    """Another rank of the same training can no longer be reached."""


class Interrupted(Exception):
    """Ctrl-C or a signal ended the training between two iterations; everything is saved.

    Attributes:
        signum: the signal's number.
        iteration: iterations done and saved.
    """

    def __init__(self, signum: int, iteration: int) -> None:
        super().__init__(f"signal {signum} after iteration {iteration}")
        self.signum, self.iteration = signum, iteration
