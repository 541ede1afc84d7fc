"""The errors that mean: the input was at fault, and this is what to do about it; and the wish to stop."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line: what is wrong, expected X, found Y, what to do."""


class CheckpointError(InputError):
    """A checkpoint cannot be read, recognised or converted completely."""


class Interrupted(KeyboardInterrupt):
    """A signal asked for the end; the message is one line: what was saved, and how to go on.

    Attributes:
        signum: the signal, whose number a command's exit code tells as 128 + ``signum``.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum
