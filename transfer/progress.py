"""How far long work is, on a terminal and nowhere else: tqdm, the same everywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
SILENT = 3.0  # seconds in which nothing is said: most work is done by then
_FORMAT = "{desc}: {n:.4g} of {total:g} {unit}, {remaining} left"


def progress(what: str, total: float, unit: str) -> tqdm:
    """Return tqdm's line for a ``with`` block; ``update(amount)`` moves it on, also by parts of a unit.

    The line goes away at the end, before anything else is said.

    Args:
        what: is being done.
        total: how many of ``unit`` there are.
        unit: in the plural.
    """
    return tqdm(
        desc=what,
        total=total,
        unit=unit,
        bar_format=_FORMAT,
        delay=SILENT,
        mininterval=0.5,
        leave=False,
        disable=None,  # where stderr is no terminal
    )


def over(entries: Collection[T], what: str, unit: str) -> Iterator[T]:
    """Give ``entries`` one by one, with ``progress``'s line."""
    with progress(what, len(entries), unit) as line:
        for entry in entries:
            yield entry
            line.update()
