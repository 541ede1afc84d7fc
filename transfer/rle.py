"""COCO's run-length codes, many at a time: do their runs fill the image they claim to be of?

A code whose runs end too early sends pycocotools' C code past the end of its array, where it may never return, so this
is asked before any engine sees a code.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# One character holds 6 bits from "0" on: 5 of the number, lowest first, and one that says that more follow. The fifth
# bit of a number's last character is its sign. (pycocotools, maskApi.c: rleToString.)
_FIRST, _BITS, _MORE, _SIGN = 48, 0x1F, 0x20, 0x10
_CHUNK = 4096  # codes at a time: some 10 MB of numbers


def first_broken(codes: Sequence[str], pixels: NDArray[np.int64]) -> int | None:
    """Return the index of the first code whose runs are no lengths or do not add up to its image, None for none.

    Args:
        codes: compressed run-length codes, N of them, as a COCO results file holds them.
        pixels: (N,) height times width.
    """
    for start in range(0, len(codes), _CHUNK):
        part = codes[start : start + _CHUNK]
        bad = np.flatnonzero(_broken(part, pixels[start : start + _CHUNK]))
        if bad.size:
            return start + int(bad[0])
    return None


def _broken(codes: Sequence[str], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    sizes = np.array([len(code) for code in codes])
    text = np.frombuffer("".join(codes).encode("latin-1", "replace"), np.uint8).astype(np.int32) - _FIRST
    broken = sizes == 0
    if text.size == 0:
        return broken
    owner = np.repeat(np.arange(len(codes), dtype=np.int32), sizes)
    broken[owner[(text < 0) | (text > 63)]] = True
    last = (text & _MORE) == 0
    ends = np.cumsum(sizes)[sizes > 0] - 1
    broken[owner[ends[~last[ends]]]] = True  # the last number goes on and is cut off
    last[ends] = True
    tail = np.flatnonzero(last)  # where each number ends, and where it begins
    head = np.concatenate([[0], tail[:-1] + 1])
    length = tail - head + 1
    broken[owner[tail[length > 6]]] = True  # more than 30 bits
    place = np.arange(text.size, dtype=np.int32) - np.repeat(head, length).astype(np.int32)
    values = np.add.reduceat((text & _BITS) << (5 * np.minimum(place, 5)), head)
    values -= np.where(text[tail] & _SIGN, np.int64(1) << (5 * np.minimum(length, 6)), 0)
    return broken | _no_lengths(values, owner[tail], pixels)


def _no_lengths(values: NDArray[np.int64], owner: NDArray[np.int32], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Add up the runs: from the fourth number on each is the difference to the one two before it."""
    counts = np.bincount(owner, minlength=len(pixels))
    k = np.arange(len(values)) - (np.cumsum(counts) - counts)[owner]  # the run's place in its code
    bad = np.zeros(len(pixels), np.bool_)
    total = np.zeros(len(pixels))
    for chain in (k == 0, k % 2 == 1, (k % 2 == 0) & (k > 0)):
        of, numbers = owner[chain], values[chain]
        if not of.size:
            continue
        sums = np.cumsum(numbers)
        begins = np.concatenate([[True], of[1:] != of[:-1]])
        runs = sums - (sums - numbers)[begins][np.cumsum(begins) - 1]
        bad[of[runs < 0]] = True
        total += np.bincount(of, runs, minlength=len(pixels))
    return bad | (total != pixels)
