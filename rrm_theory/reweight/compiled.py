"""The operations on keys as loops that numba compiles, for losses in main memory.

The same functions as in `plain`, with the same results bit for bit. Losses are counted in blocks,
within which 32 bits are enough.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isqrt
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rrm_theory.reweight import order
from rrm_theory.reweight.parts import Cuts, as_sizes

BLOCK = 8192
# Losses that bracket the K-th largest.
SAMPLE = 1 << 17


def scan(bits: Tensor) -> tuple[int, int]:
    """Return the smallest and the largest key."""
    integers, to = _view(bits)
    lowest, highest = _scan(integers, *to)
    return int(lowest), int(highest)


def count(bits: Tensor, limit: int, cut: int) -> tuple[int, int]:
    """Return how many keys are at most the limit, and how many are above the cut."""
    integers, to = _view(bits)
    low, high = _count(integers, *to, *map(integers.dtype.type, (limit, cut)))
    return int(low), int(high)


def mark(bits: Tensor, lowest: int, cuts: Cuts, parts: Tensor) -> list[int]:
    """Write every sample's part, and return how many are full, raised, thinned, pruned."""
    integers, to = _view(bits)
    counts = np.empty(4, np.int64)
    flags = (lowest < 0, cuts.full >= lowest or cuts.kept < cuts.pruned)
    _mark(integers, *to, *flags, *map(integers.dtype.type, cuts), parts.numpy(), counts)
    return as_sizes(*counts.tolist())


def blend(parts: Tensor, shares: Tensor, step: float, weights: Tensor) -> None:
    """Set ``w <- w + step (share - w)``, each operation rounded to the weights' type."""
    given = weights.numpy()
    _blend(parts.numpy(), shares.numpy(), given.dtype.type(step), given)


def kth_largest(bits: Tensor, k: int) -> int:
    """Return the K-th largest key, 1 <= k <= N."""
    return _select(bits, k)[0]


def level(bits: Tensor, k: int) -> int | None:
    """Return the largest key of a loss below the K-th largest loss, None if there is none."""
    selected, around = _select(bits, k)
    bound = order.smallest_equal(selected)
    nothing = np.iinfo(around.dtype).min
    below = int(np.where(around < bound, around, nothing).max(initial=nothing))
    return largest_below(bits, bound) if below == nothing else below


def _select(bits: Tensor, k: int) -> tuple[int, NDArray[Any]]:
    """Return the K-th largest key, and all keys of some interval around it, or none at all.

    A sample brackets it; one pass counts what is above the bracket and collects what is inside.
    Should the bracket miss it, or hold too much, histograms of its digits decide.
    """
    integers, to = _view(bits)
    n = integers.size
    if n <= SAMPLE:
        return int(np.partition(_keys(integers, *to), n - k)[n - k]), integers[:0]
    # Any sample would do; this one is the same every time.
    drawn = np.sort(_keys(np.ascontiguousarray(integers[:: n // SAMPLE]), *to))
    # Three standard deviations of the rank to either side, at most.
    place, spread = drawn.size * (n - k) // n, 3 * isqrt(drawn.size) // 2
    low, high = drawn[max(0, place - spread)], drawn[min(drawn.size - 1, place + spread)]
    if low == high:
        # Many losses tie there, and none of them need be collected.
        few, many = count(bits, int(low) - 1, int(low))
        if many < k <= n - few:
            return int(low), integers[:0]
    inside, marks = np.empty(n // 8, integers.dtype), np.zeros(BLOCK, np.uint8)
    above, found = map(int, _bracket(integers, *to, low, high, inside, marks))
    if found <= inside.size and above < k <= above + found:
        rank, around = found - (k - above), inside[:found]
        return int(np.partition(around, rank)[rank]), around
    lowest, highest = scan(bits)
    counted = partial(histogram, bits, lowest)
    return order.kth_largest(counted, lowest, highest, k), integers[:0]


def histogram(bits: Tensor, lowest: int, shift: int, digit: int, prefix: int) -> Tensor:
    """Return how often each digit of ``key - lowest`` occurs below the given higher digits."""
    integers, to = _view(bits)
    counts = np.zeros(1 << digit, np.int64)
    first = shift + digit >= 8 * integers.itemsize
    # Keys are subtracted modulo the range of their type, without a sign.
    modulus = 1 << (8 * integers.itemsize)
    numbers = np.array(
        [lowest % modulus, shift, digit, 0 if first else prefix], f"u{integers.dtype.name}"
    )
    _histogram(integers, *to, numbers, first, counts)
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
def _scan(bits, shift, flip):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    lowest, highest = flip, integer(~flip)
    signed = False
    for start in range(0, bits.size, BLOCK):
        part = bits[start : min(bits.size, start + BLOCK)]
        low, high = flip, integer(~flip)
        # Only without a sign are bits their own keys; a block is likely to be as the last one.
        if not signed:
            for i in range(part.size):
                low = part[i] if part[i] < low else low
                high = part[i] if part[i] > high else high
            signed = low < 0
        if signed:
            low, high = flip, integer(~flip)
            for i in range(part.size):
                k = integer(part[i] ^ integer(integer(part[i] >> shift) & flip))
                low = k if k < low else low
                high = k if k > high else high
            signed = low < 0
        lowest = low if low < lowest else lowest
        highest = high if high > highest else highest
    return lowest, highest


@_loop
def _count(bits, shift, flip, limit, cut):  # type: ignore[no-untyped-def]
    integer = bits.dtype.type
    low, high = np.int64(0), np.int64(0)
    for start in range(0, bits.size, BLOCK):
        part = bits[start : min(bits.size, start + BLOCK)]
        few, many = np.int32(0), np.int32(0)
        for i in range(part.size):
            k = integer(part[i] ^ integer(integer(part[i] >> shift) & flip))
            few = np.int32(few + np.int32(k <= limit))
            many = np.int32(many + np.int32(k > cut))
        low, high = np.int64(low + few), np.int64(high + many)
    return low, high


@_loop
def _mark(bits, shift, flip, signed, capped, full, raised, kept, cut, parts, counts):  # type: ignore[no-untyped-def]
    # Both flags only spare work: LLVM makes a loop for each of their values.
    integer, byte = bits.dtype.type, np.uint8
    counts[:] = 0
    for start in range(0, bits.size, BLOCK):
        stop = min(bits.size, start + BLOCK)
        part, place = bits[start:stop], parts[start:stop]
        a, b, c, d = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        for i in range(part.size):
            k = integer(part[i] ^ integer(integer(part[i] >> shift) & flip)) if signed else part[i]
            low, lower = byte(k <= raised), byte(k <= full) if capped else byte(0)
            high, higher = byte(k > kept), byte(k > cut) if capped else byte(k > kept)
            a, b = np.int32(a + np.int32(lower)), np.int32(b + np.int32(low))
            c, d = np.int32(c + np.int32(high)), np.int32(d + np.int32(higher))
            place[i] = byte(byte(byte(2) + byte(low + lower)) - byte(high + higher))
        counts[0] += a
        counts[1] += b
        counts[2] += c
        counts[3] += d


@_loop
def _blend(parts, shares, step, weights):  # type: ignore[no-untyped-def]
    pruned, thinned, untouched, raised, full = shares
    for i in range(parts.size):
        # Choices, since looking them up would not be vectorised.
        part, share = parts[i], untouched
        share = pruned if part == 0 else share
        share = thinned if part == 1 else share
        share = raised if part == 3 else share
        share = full if part == 4 else share
        weights[i] = weights[i] + step * (share - weights[i])


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
def _histogram(bits, shift, flip, numbers, first, counts):  # type: ignore[no-untyped-def]
    integer, unsigned = bits.dtype.type, numbers.dtype.type
    lowest, place, digit, prefix = numbers
    mask = unsigned(counts.size - 1)
    for i in range(bits.size):
        k = integer(bits[i] ^ integer(integer(bits[i] >> shift) & flip))
        rank = unsigned(unsigned(k) - lowest)
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
