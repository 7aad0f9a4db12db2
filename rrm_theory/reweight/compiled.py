"""The three operations as loops that numba compiles, for losses in main memory.

The same functions as in `plain`, with the same results bit for bit. Losses are read in blocks; the
smallest key of each is kept, so that I_min is looked for only where it can be.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isqrt
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rrm_theory.reweight import order

BLOCK = 4096
# Losses that bracket the K-th largest.
SAMPLE = 1 << 16


class Scan(NamedTuple):
    """What one pass over the losses found: smallest and largest key, the smallest of each block."""

    lowest: int
    highest: int
    minima: NDArray[Any]


def scan(bits: Tensor) -> Scan:
    """Return the smallest and the largest key, and the blocks' smallest keys."""
    integers, to = _view(bits)
    minima = np.empty(-(-integers.size // BLOCK), integers.dtype)
    lowest, highest = _scan(integers, *to, minima)
    return Scan(lowest=int(lowest), highest=int(highest), minima=minima)


def count_minimum(bits: Tensor, scanned: Scan, limit: int) -> int:
    """Return |I_min|."""
    integers, to = _view(bits)
    return int(_count_minimum(integers, *to, scanned.minima, integers.dtype.type(limit)))


def prune(bits: Tensor, cut: int, weights: Tensor, pruned: Tensor) -> int:
    """Mark chi, set the weights there to 0 and to 1 elsewhere, and return |chi|."""
    integers, to = _view(bits)
    return int(_prune(integers, *to, integers.dtype.type(cut), weights.numpy(), _marks(pruned)))


def place(bits: Tensor, scanned: Scan, limit: int, heavy: float, weights: Tensor) -> None:
    """Set the weights on I_min."""
    (integers, to), given = _view(bits), weights.numpy()
    _place(
        integers, *to, scanned.minima, integers.dtype.type(limit), given.dtype.type(heavy), given
    )


def count_pruned(bits: Tensor, cut: int, pruned: Tensor) -> int:
    """Mark chi and return |chi|."""
    integers, to = _view(bits)
    return int(_count_pruned(integers, *to, integers.dtype.type(cut), _marks(pruned)))


def blend(
    bits: Tensor, limit: int, heavy: float, step: float, weights: Tensor, pruned: Tensor
) -> None:
    """Set ``w <- w + step (target - w)``, each operation rounded to the weights' type."""
    (integers, to), given = _view(bits), weights.numpy()
    constants = map(given.dtype.type, (heavy, 1, 0, step))
    _blend(integers, *to, integers.dtype.type(limit), *constants, given, _marks(pruned))


def kth_largest(bits: Tensor, k: int) -> int:
    """Return the K-th largest key, 1 <= k <= N."""
    return _select(bits, k)[0]


def level(bits: Tensor, k: int) -> int | None:
    """Return the largest key of a loss below the K-th largest loss, None if there is none."""
    selected, around = _select(bits, k)
    bound = order.smallest_equal(selected)
    below = around[around < bound]
    return int(below.max()) if below.size else largest_below(bits, bound)


def _select(bits: Tensor, k: int) -> tuple[int, NDArray[Any]]:
    """Return the K-th largest key, and all keys of some interval around it, or none at all.

    A sample brackets it; one pass counts what is above the bracket and collects what is inside.
    Should the bracket miss it, or hold too much, histograms of its digits decide.
    """
    integers, to = _view(bits)
    n = integers.size
    if n > SAMPLE:
        # Any sample would do; this one is the same every time.
        drawn = np.sort(_keys(np.ascontiguousarray(integers[:: n // SAMPLE]), *to))
        # Four standard deviations of the rank to either side, at most.
        place, spread = drawn.size * (n - k) // n, 2 * isqrt(drawn.size)
        low, high = drawn[max(0, place - spread)], drawn[min(drawn.size - 1, place + spread)]
        inside, marks = np.empty(n // 8, integers.dtype), np.zeros(BLOCK, np.uint8)
        above, found = map(int, _bracket(integers, *to, low, high, inside, marks))
        if found <= inside.size and above < k <= above + found:
            rank, around = found - (k - above), inside[:found]
            return int(np.partition(around, rank)[rank]), around
    key = order.kth_largest(partial(histogram, bits), 8 * integers.itemsize, k)
    return key, integers[:0]


def histogram(bits: Tensor, shift: int, prefix: int) -> Tensor:
    """Return how often each digit at ``shift`` occurs below the given higher digits."""
    integers, to = _view(bits)
    counts = np.zeros(1 << order.DIGIT, np.int64)
    ranks = np.empty(0, f"u{integers.dtype.name}")
    first = shift == 8 * integers.itemsize - order.DIGIT
    numbers = map(ranks.dtype.type, (shift, order.DIGIT, prefix))
    _histogram(integers, *to, ranks, *numbers, first, counts)
    return torch.from_numpy(counts)


def largest_below(bits: Tensor, bound: int) -> int | None:
    """Return the largest key below ``bound``, None if there is none."""
    integers, to = _view(bits)
    smallest = int(np.iinfo(integers.dtype).min)
    if bound == smallest:
        return None
    found = int(_largest_below(integers, *to, integers.dtype.type(bound)))
    # The smallest key belongs to a NaN, which no loss is.
    return None if found == smallest else found


def _view(bits: Tensor) -> tuple[NDArray[Any], tuple[Any, Any]]:
    """Return integers as an array, and what turns them into keys: the sign's place, all below."""
    integers = bits.numpy()
    integer = integers.dtype.type
    return integers, (integer(8 * integers.itemsize - 1), integer(np.iinfo(integers.dtype).max))


def _marks(pruned: Tensor) -> NDArray[np.uint8]:
    """Return truth values as bytes."""
    marks: NDArray[np.uint8] = pruned.view(torch.uint8).numpy()
    return marks


def _loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop once per type of integers, and keep it on disk where that is possible.

    Every intermediate in a loop is cast to that type: numba would widen it, and the loop would not
    be vectorised.
    """
    settings: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # no folder to keep it in
        compiled = numba.njit(**settings)(function)
    return compiled


@_loop
def _scan(bits, shift, flip, minima):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    lowest, highest = flip, integer(~flip)
    for b in range(minima.size):
        part = bits[b * BLOCK : min(bits.size, (b + 1) * BLOCK)]
        low, high = flip, integer(~flip)
        for i in range(part.size):
            k = integer(part[i] ^ integer(integer(part[i] >> shift) & flip))
            low = k if k < low else low
            high = k if k > high else high
        minima[b] = low
        lowest = low if low < lowest else lowest
        highest = high if high > highest else highest
    return lowest, highest


@_loop
def _count_minimum(bits, shift, flip, minima, limit):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    found = 0
    for b in range(minima.size):
        if minima[b] <= limit:
            for i in range(b * BLOCK, min(bits.size, (b + 1) * BLOCK)):
                k = integer(bits[i] ^ integer(integer(bits[i] >> shift) & flip))
                found += k <= limit
    return found


@_loop
def _prune(bits, shift, flip, cut, weights, pruned):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    found = np.int64(0)
    for start in range(0, bits.size, BLOCK):
        stop = min(bits.size, start + BLOCK)
        part, weight, mark = bits[start:stop], weights[start:stop], pruned[start:stop]
        count = np.int32(0)
        for i in range(part.size):
            k = integer(part[i] ^ integer(integer(part[i] >> shift) & flip))
            gone = np.uint8(k > cut)
            count = np.int32(count + np.int32(gone))
            weight[i] = np.uint8(np.uint8(1) - gone)
            mark[i] = gone
        found = np.int64(found + count)
    return found


@_loop
def _place(bits, shift, flip, minima, limit, heavy, weights):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    for b in range(minima.size):
        if minima[b] <= limit:
            for i in range(b * BLOCK, min(bits.size, (b + 1) * BLOCK)):
                k = integer(bits[i] ^ integer(integer(bits[i] >> shift) & flip))
                if k <= limit:
                    weights[i] = heavy


@_loop
def _count_pruned(bits, shift, flip, cut, pruned):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    found = np.int64(0)
    for start in range(0, bits.size, BLOCK):
        stop = min(bits.size, start + BLOCK)
        part, mark = bits[start:stop], pruned[start:stop]
        count = np.int32(0)
        for i in range(part.size):
            k = integer(part[i] ^ integer(integer(part[i] >> shift) & flip))
            gone = np.uint8(k > cut)
            count = np.int32(count + np.int32(gone))
            mark[i] = gone
        found = np.int64(found + count)
    return found


@_loop
def _blend(bits, shift, flip, limit, heavy, one, zero, step, weights, pruned):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    for i in range(bits.size):
        k = integer(bits[i] ^ integer(integer(bits[i] >> shift) & flip))
        target = zero if pruned[i] else (heavy if k <= limit else one)
        weights[i] = weights[i] + step * (target - weights[i])


@_loop
def _keys(bits, shift, flip):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    keys = np.empty_like(bits)
    for i in range(bits.size):
        keys[i] = integer(bits[i] ^ integer(integer(bits[i] >> shift) & flip))
    return keys


@_loop
def _bracket(bits, shift, flip, low, high, inside, marks):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    above, found = np.int64(0), np.int64(0)
    # Marks are made for a block at a time and looked through eight at a time: few are set.
    eights = marks.view(np.uint64)
    for start in range(0, bits.size, BLOCK):
        part = bits[start : min(bits.size, start + BLOCK)]
        count = np.int32(0)
        for i in range(part.size):
            k = integer(part[i] ^ integer(integer(part[i] >> shift) & flip))
            count = np.int32(count + np.int32(k > high))
            marks[i] = np.uint8(np.uint8(k >= low) & np.uint8(k <= high))
        marks[part.size :] = 0
        above = np.int64(above + count)
        for e in range(eights.size):
            if eights[e] == 0:
                continue
            if found + 8 > inside.size:
                return above, np.int64(inside.size + 1)
            # Written always, kept if marked: a branch here would be guessed wrong too often.
            for i in range(8 * e, min(part.size, 8 * e + 8)):
                inside[found] = integer(part[i] ^ integer(integer(part[i] >> shift) & flip))
                found = np.int64(found + marks[i])
    return above, found


@_loop
def _histogram(bits, shift, flip, ranks, place, digit, prefix, first, counts):  # type: ignore[no-untyped-def]
    # `ranks` has the bits' size and holds nothing: it gives the unsigned type of a rank.
    integer, unsigned = bits.dtype.type, ranks.dtype.type
    sign, mask = unsigned(unsigned(1) << unsigned(shift)), unsigned(counts.size - 1)
    for i in range(bits.size):
        k = integer(bits[i] ^ integer(integer(bits[i] >> shift) & flip))
        rank = unsigned(unsigned(k) ^ sign)
        if first or unsigned(rank >> unsigned(place + digit)) == prefix:
            counts[np.int64(unsigned(rank >> place) & mask)] += 1


@_loop
def _largest_below(bits, shift, flip, bound):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    smallest = integer(~flip)
    best = smallest
    for start in range(0, bits.size, BLOCK):
        part = bits[start : min(bits.size, start + BLOCK)]
        high = smallest
        for i in range(part.size):
            k = integer(part[i] ^ integer(integer(part[i] >> shift) & flip))
            k = k if k < bound else smallest
            high = k if k > high else high
        best = high if high > best else best
    return best
