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
# Where few of a block's keys are wanted, it is looked through by columns.
ROWS = 8
COLUMNS = BLOCK // ROWS
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
    selected, smaller = _select(bits, k)
    bound = order.smallest_equal(selected)
    nothing = np.iinfo(smaller.dtype).min
    below = int(smaller[smaller < bound].max(initial=nothing))
    return largest_below(bits, bound) if below == nothing else below


def _select(bits: Tensor, k: int) -> tuple[int, NDArray[Any]]:
    """Return the K-th largest key, and those next below it, some equal ones too, or none at all.

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
    inside = np.empty(n // 8, integers.dtype)
    ends = np.array([low, high]).view(f"u{integers.dtype.name}")
    above, found = map(int, _bracket(integers, *to, ends, inside))
    if found <= inside.size and above < k <= above + found:
        rank, around = found - (k - above), inside[:found]
        around.partition(rank)
        return int(around[rank]), around[:rank]
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
def _key(bits, shift, flip):  # type: ignore[no-untyped-def]
    integer = type(bits)
    return integer(bits ^ integer(integer(bits >> shift) & flip))


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
                k = _key(part[i], shift, flip)
                low = k if k < low else low
                high = k if k > high else high
            signed = low < 0
        lowest = low if low < lowest else lowest
        highest = high if high > highest else highest
    return lowest, highest


@_loop
def _count(bits, shift, flip, limit, cut):  # type: ignore[no-untyped-def]
    low, high = np.int64(0), np.int64(0)
    for start in range(0, bits.size, BLOCK):
        part = bits[start : min(bits.size, start + BLOCK)]
        few, many = np.int32(0), np.int32(0)
        for i in range(part.size):
            k = _key(part[i], shift, flip)
            few = np.int32(few + np.int32(k <= limit))
            many = np.int32(many + np.int32(k > cut))
        low, high = np.int64(low + few), np.int64(high + many)
    return low, high


@_loop
def _mark(bits, shift, flip, signed, capped, full, raised, kept, cut, parts, counts):  # type: ignore[no-untyped-def]
    # Both flags only spare work: LLVM makes a loop for each of their values.
    byte = np.uint8
    counts[:] = 0
    for start in range(0, bits.size, BLOCK):
        stop = min(bits.size, start + BLOCK)
        part, place = bits[start:stop], parts[start:stop]
        a, b, c, d = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        for i in range(part.size):
            k = _key(part[i], shift, flip) if signed else part[i]
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
    keys = np.empty_like(bits)
    for i in range(bits.size):
        keys[i] = _key(bits[i], shift, flip)
    return keys


@_loop
def _bracket(bits, shift, flip, ends, inside):  # type: ignore[no-untyped-def]
    integer, unsigned, byte = bits.dtype.type, ends.dtype.type, np.uint8
    # A key is inside if it is in the span, counted from `low` modulo the range of its type.
    low, span, high = ends[0], unsigned(ends[1] - ends[0]), integer(ends[1])
    # Bits are their own keys unless they have a sign; then they too are below a `low` without.
    signed = integer(low) < 0
    above, found = np.int64(0), np.int64(0)
    hit, places = np.empty(COLUMNS, np.uint8), np.empty(COLUMNS, np.int32)
    whole = bits.size - bits.size % BLOCK
    for start in range(0, whole, BLOCK):
        part = bits[start : start + BLOCK]
        count = np.int32(0)
        for i in range(BLOCK):
            k = _key(part[i], shift, flip) if signed else part[i]
            count = np.int32(count + np.int32(k > high))
        above = np.int64(above + count)
        # Few keys are inside: columns that have one are found first, all in one go and without a
        # branch, which would be guessed wrong too often.
        for j in range(COLUMNS):
            some = byte(0)
            for r in range(ROWS):
                i = j + r * COLUMNS
                k = _key(part[i], shift, flip) if signed else part[i]
                some = byte(some | byte(unsigned(unsigned(k) - low) <= span))
            hit[j] = some
        hits = np.int64(0)
        for j in range(COLUMNS):
            places[hits] = j
            hits = np.int64(hits + hit[j])
        if found + ROWS * hits > inside.size:
            return above, np.int64(inside.size + 1)
        for j in places[:hits]:
            for r in range(ROWS):
                i = j + r * COLUMNS
                k = _key(part[i], shift, flip) if signed else part[i]
                inside[found] = k
                found = np.int64(found + np.int64(unsigned(unsigned(k) - low) <= span))
    for i in range(whole, bits.size):
        k = _key(bits[i], shift, flip)
        above = np.int64(above + np.int64(k > high))
        if unsigned(unsigned(k) - low) <= span:
            if found == inside.size:
                return above, np.int64(inside.size + 1)
            inside[found] = k
            found = np.int64(found + 1)
    return above, found


@_loop
def _histogram(bits, shift, flip, numbers, first, counts):  # type: ignore[no-untyped-def]
    unsigned = numbers.dtype.type
    lowest, place, digit, prefix = numbers
    mask = unsigned(counts.size - 1)
    for i in range(bits.size):
        k = _key(bits[i], shift, flip)
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
            k = _key(part[i], shift, flip)
            k = k if k < bound else smallest
            high = k if k > high else high
        best = high if high > best else best
    return best
