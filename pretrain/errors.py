"""The error that means: the input was at fault, and this is what to do about it."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line: what is wrong, expected X, found Y, what to do."""
