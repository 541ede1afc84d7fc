"""The errors that mean: the input was at fault, or another process was, and this is what to do about it."""

from __future__ import annotations


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
