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


def broken(codes: Sequence[str], pixels: NDArray[np.int64]) -> list[int]:
    """Return the indices of codes whose runs are no lengths or do not add up to their image.

    Args:
        codes: compressed run-length codes, N of them, as a COCO results file holds them.
        pixels: (N,) height times width.
    """
    return [i for start in range(0, len(codes), _CHUNK) for i in _of_chunk(codes, pixels, start)]


def first_broken(codes: Sequence[str], pixels: NDArray[np.int64]) -> int | None:
    """Return the first of ``broken``, None for none."""
    for start in range(0, len(codes), _CHUNK):
        for i in _of_chunk(codes, pixels, start):
            return i
    return None


def _of_chunk(codes: Sequence[str], pixels: NDArray[np.int64], start: int) -> list[int]:
    bad = np.flatnonzero(_broken(codes[start : start + _CHUNK], pixels[start : start + _CHUNK]))
    return [start + int(i) for i in bad]


def _broken(codes: Sequence[str], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    sizes = np.fromiter(map(len, codes), np.int64, len(codes))
    broken: NDArray[np.bool_] = sizes == 0
    if broken.any():
        return broken
    text = np.frombuffer("".join(codes).encode("latin-1", "replace"), np.uint8) - np.uint8(_FIRST)
    ends = np.cumsum(sizes)
    if int(text.max()) > _MORE + _BITS:
        broken |= np.maximum.reduceat(text, ends - sizes) > _MORE + _BITS
    last = text < _MORE
    broken |= ~last[ends - 1]  # the last number goes on and is cut off
    last[ends - 1] = True
    tails = np.flatnonzero(last)  # where each number ends
    lengths = np.diff(tails, prepend=-1)
    stops = np.searchsorted(tails, ends)  # each code's numbers end here
    if int(lengths.max()) > _LONGEST:
        broken |= np.maximum.reduceat(lengths, np.append(0, stops[:-1])) > _LONGEST
        lengths = np.minimum(lengths, _LONGEST)
    return broken | _no_lengths(_values(text, tails, lengths), stops, pixels)


def _values(text: NDArray[np.uint8], tails: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the numbers whose last characters are at ``tails``."""
    values = ((text[tails] & _BITS) ^ _SIGN).astype(np.int32)
    values -= _SIGN  # the sign bit counts negative
    longer = np.flatnonzero(lengths > 1)
    for k in range(1, _LONGEST):
        values[longer] = (values[longer] << 5) | (text[tails[longer] - k] & _BITS)
        longer = longer[lengths[longer] > k + 1]
    return values


def _no_lengths(values: NDArray[np.int32], stops: NDArray[np.int64], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Add up the runs: from the fourth number on each is the difference to the one two before it.

    So a run is a sum of every other number. These are summed over all codes together, the numbers at even and those at
    odd places apart; what a code begins with is taken off.

    Args:
        values: the numbers of all codes.
        stops: (N,) where those of each code end.
        pixels: (N,) what the runs are to add up to.
    """
    starts = np.append(0, stops[:-1])
    total = values[starts].astype(np.int64)  # the first number is a run of its own
    bad = total < 0
    for parity in (0, 1):
        numbers = values[parity::2]
        sums = np.zeros(len(numbers) + 1, np.int64)  # one more, for the last segment to end at
        np.cumsum(numbers, out=sums[:-1])
        first = (starts + 1 - parity) // 2 + (starts % 2 == parity)  # of the chain, which leaves out the code's first
        stop = (stops + 1 - parity) // 2
        some = stop > first
        first, stop = first[some], stop[some]
        before = np.where(first > 0, sums[first - 1], 0)
        places = np.stack([first, stop], axis=1).ravel()
        if not places.size:
            continue
        bad[some] |= np.minimum.reduceat(sums, places)[::2] < before
        total[some] += np.add.reduceat(sums, places)[::2] - before * (stop - first)
    return bad | (total != pixels)
