"""Progress of long loops: a bar of tqdm on stderr where somebody watches, silence everywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def progress(
    steps: Iterable[T], what: str | None, *, unit: str, each: int = 1, total: int | None = None
) -> Iterable[T]:
    """The same steps, with a bar while they last.

    Silent where stderr is no terminal, and on every rank but the first. The bar goes when the loop ends.

    Args:
        steps: what is looped over.
        what: the bar's name; None for no bar.
        unit: what is counted, such as ``img``.
        each: units in one step.
        total: number of steps; None for the length of ``steps``.
    """
    if what is None or not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        return steps
    from tqdm import tqdm  # imported only where it is shown

    return tqdm(steps, desc=what, total=total, unit=unit, unit_scale=each, leave=False, dynamic_ncols=True, delay=1)
