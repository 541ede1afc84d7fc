"""Many strings in two arrays: a million Python objects shared by forked loaders end up copied into each of them.

Reading a Python object writes its reference count, so the pages of a list of paths do not stay shared after a fork
(pytorch issue 13246); an array's do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np


class PackedStrings:
    """A sequence of strings that cannot be changed.

    Args:
        strings: any strings, file names that are not valid UTF-8 included.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        encoded = [s.encode("utf-8", "surrogateescape") for s in strings]
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        self._bytes = np.frombuffer(b"".join(encoded), dtype=np.uint8)

    def __len__(self) -> int:
        """The number of strings."""
        return len(self._ends) - 1

    def __getitem__(self, k: int) -> str:
        """String k, 0 <= k < len."""
        if not 0 <= k < len(self):
            raise IndexError(k)
        return self._bytes[self._ends[k] : self._ends[k + 1]].tobytes().decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        """The strings in their order."""
        return (self[k] for k in range(len(self)))
