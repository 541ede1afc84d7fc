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
_LONGEST = 6  # characters of a number: 30 bits, images of a thousand million pixels
_CHUNK = 1024  # codes at a time: a few MB of numbers


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
    broken: NDArray[np.bool_] = sizes == 0
    if broken.any():
        return broken
    text = np.frombuffer("".join(codes).encode("latin-1", "replace"), np.uint8) - np.uint8(_FIRST)
    starts = np.cumsum(sizes) - sizes
    broken |= np.maximum.reduceat(text, starts) > _MORE + _BITS
    last = (text & _MORE) == 0
    ends = starts + sizes - 1
    broken |= ~last[ends]  # the last number goes on and is cut off
    last[ends] = True
    tails = np.flatnonzero(last)  # where each number ends
    lengths = np.diff(tails, prepend=-1)
    counts = np.add.reduceat(last, starts, dtype=np.int64)  # numbers in each code
    owner = np.repeat(np.arange(len(codes), dtype=np.int32), counts)
    broken[owner[lengths > _LONGEST]] = True
    return broken | _no_lengths(_values(text, tails, np.minimum(lengths, _LONGEST)), owner, counts, pixels)


def _values(text: NDArray[np.uint8], tails: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the numbers whose last characters are at ``tails``."""
    values = (text[tails] & _BITS).astype(np.int32)
    values[values >= _SIGN] -= 2 * _SIGN
    longer = np.flatnonzero(lengths > 1)
    for k in range(1, _LONGEST):
        values[longer] = (values[longer] << 5) | (text[tails[longer] - k] & _BITS)
        longer = longer[lengths[longer] > k + 1]
    return values


def _no_lengths(
    values: NDArray[np.int32], owner: NDArray[np.int32], counts: NDArray[np.int64], pixels: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Add up the runs: from the fourth number on each is the difference to the one two before it."""
    starts = np.cumsum(counts) - counts
    odd = (np.arange(len(values), dtype=np.int32) - np.repeat(starts.astype(np.int32), counts)) & 1 == 1
    even = ~odd
    even[starts] = False
    total = values[starts].astype(np.int64)
    bad = total < 0
    for chain in (odd, even):  # the numbers 1, 3, 5 ... and 2, 4, 6 ... of each code, from 0
        of, numbers = owner[chain], values[chain]
        if not of.size:
            continue
        sums = np.cumsum(numbers, dtype=np.int32)  # may wrap around, and back in the next line
        begins = np.flatnonzero(np.diff(of, prepend=-1))
        sums -= np.repeat(sums[begins] - numbers[begins], np.diff(begins, append=len(of)))
        bad[of[begins]] |= np.minimum.reduceat(sums, begins) < 0
        total[of[begins]] += np.add.reduceat(sums, begins)
    return bad | (total != pixels)
