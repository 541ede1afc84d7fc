"""What a setting may be: the range stands beside its field, and one function checks every field of a dataclass.

lr: Annotated[float, ABOVE_ZERO] = 0.03
"""

from __future__ import annotations

import math
import types
import typing
from dataclasses import dataclass, fields
from typing import Annotated, Any, Protocol

from pretrain.errors import InputError

LARGEST = 2**31 - 1  # what a 32-bit size or counter can hold
_LONGEST = 80  # characters of a value in a message


class Allowed(Protocol):
    """What a value may be: says whether one is allowed, and in words what is."""

    def __contains__(self, value: object) -> bool:
        """Whether the value is allowed."""

    def __str__(self) -> str:
        """What is expected, as in "expected X"."""


@dataclass(frozen=True)
class Range:
    """Finite numbers from ``low`` to ``high``; of a tuple every one.

    Attributes:
        low: the least.
        high: the largest.
        above: ``low`` itself is not allowed.
        below: ``high`` itself is not allowed.
        whole: whole numbers only.
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        """Whether a number, or every number of a tuple, lies in the range."""
        if isinstance(value, tuple):
            return all(item in self for item in value)
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        inside = self.low < value if self.above else self.low <= value
        return inside and (value < self.high if self.below or self.high == math.inf else value <= self.high)

    def __str__(self) -> str:
        """In words."""
        kind = "a whole number" if self.whole else "a number"
        if self.high == math.inf:
            return f"{kind} {'above' if self.above else '>='} {self.low:g}"
        low = f"above {self.low:.12g}" if self.above else f"from {self.low:.12g}"
        return f"{kind} {low} to {'below ' if self.below else ''}{self.high:.12g}"


@dataclass(frozen=True)
class Items:
    """How many entries a tuple has, ``least`` to ``most``."""

    least: int
    most: int

    def __contains__(self, value: object) -> bool:
        """Whether a tuple has as many."""
        return isinstance(value, tuple) and self.least <= len(value) <= self.most

    def __str__(self) -> str:
        """In words."""
        return f"{self.least} numbers" if self.least == self.most else f"{self.least} to {self.most} numbers"


@dataclass(frozen=True)
class OneOf:
    """A choice of words."""

    words: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        """Whether it is one of the words."""
        return value in self.words

    def __str__(self) -> str:
        """In words."""
        return f"one of {', '.join(self.words)}"


COUNT, NOT_NEGATIVE_COUNT = Range(1, LARGEST, whole=True), Range(0, LARGEST, whole=True)
NOT_NEGATIVE, ABOVE_ZERO = Range(0), Range(0, above=True)
SHARE, BELOW_ONE = Range(0, 1), Range(0, 1, below=True)


def ranges(settings: type) -> dict[str, tuple[list[Allowed], bool]]:
    """What each field of a dataclass may be: name -> (all that its value must be in, whether it may be None)."""
    hints = typing.get_type_hints(settings, include_extras=True)
    return {field.name: _range(hints[field.name]) for field in fields(settings)}


def _range(hint: Any) -> tuple[list[Allowed], bool]:
    kind, *allowed = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    return allowed, types.NoneType in options


def check(settings: Any, section: str = "", *, flags: bool = False) -> None:
    """Refuse the first field of a dataclass's instance whose value is out of range.

    Args:
        settings: of a dataclass whose fields are ``Annotated`` with what they may be; others are not checked.
        section: what stands before the fields' names in the message.
        flags: the fields are flags of a command: ``weight_decays`` is ``--weight-decays``.

    Raises:
        InputError: one line naming the field, what it may be and what it is.
    """
    for name, (allowed, optional) in ranges(type(settings)).items():
        value = getattr(settings, name)
        if (value is None and optional) or all(value in one for one in allowed):
            continue
        full = f"--{name.replace('_', '-')}" if flags else f"{section}.{name}" if section else name
        raise InputError(f"{full}: expected {words(allowed, optional)}, found {brief(value)}")


def words(allowed: list[Allowed], optional: bool) -> str:
    """What a field may be, in words."""
    return ", each ".join(map(str, allowed)) + (" or None" if optional else "")


def brief(value: object) -> str:
    """A value as Python writes it, in one line of bearable length."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # of more than 4300 digits
        text = "a whole number of more digits than Python writes"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
