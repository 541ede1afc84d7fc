"""What an id may be, and ids as numbers from 1 on, which is what engines are given.

hotcoco takes results as float64, which has every whole number up to 2^53 only; NumPy's whole numbers end at 2^63;
pycocotools takes a match with the object of id 0 for none. None of them sees an id of a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Id = int | str
EXACT = 2**53  # from here on floats leave out whole numbers


def plain(value: Any) -> Id | None:
    """Return an id as a whole number of any size or a text of one line; None for what is none.

    3.0 is 3; a float from 2^53 on is none, because digits may have been lost; neither is true, null or an empty text.
    """
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer() and abs(value) < EXACT:
        return int(value)
    if isinstance(value, str) and is_one_line(value):
        return value
    return None


def is_one_line(text: Any) -> bool:
    """Whether a value is a text that can be shown: not empty, no control characters, no halves of characters."""
    return isinstance(text, str) and bool(text.strip()) and (text.isprintable() or _only_odd_spaces(text))


def _only_odd_spaces(text: str) -> bool:
    return all(c.isprintable() or c == "\u00a0" or c == "\u3000" for c in text)


def lost_digits(values: Iterable[Any]) -> bool:
    """Whether a whole number beyond 64 bits may have come back from the parser as a float."""
    return any(type(value) is float and abs(value) >= EXACT for value in values)


def numbers(ids: Iterable[Id]) -> dict[Id, int]:
    """Return id -> number from 1 on, in the order of the ids, which are all numbers or all texts."""
    return {value: number for number, value in enumerate(sorted(ids), 1)}
