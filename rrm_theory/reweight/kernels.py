"""An update on a GPU by Triton kernels: queued there whole, so that the host never waits.

The same counts and the same cut as everywhere, on keys (see `order`; here -0.0 has the key of 0.0).
Integers are added in any order and floats never, so the bits do not depend on the launch. What
decides the next kernel stays on the device; a captured graph replays all of it.
"""

from __future__ import annotations

from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from rrm_theory._checks import LARGEST
from rrm_theory.reweight import order
from rrm_theory.reweight.parts import Part

# Samples that one program of a kernel handles at a time.
TILE = 4096
# Numbers that the kernels with one program reduce at a time.
CHUNK = 4096
# A histogram resolves eight bits of a key; its programs share the tiles.
DIGIT = 8
PROGRAMS = 1024

# A fused multiplication and addition would round once where others round twice.
OPTIONS = {"enable_fp_fusion": False}

# Places in the state: what an update found; one more than the index of a loss that was refused, or
# -1 if all of them are +inf, and its key.
LOWEST = tl.constexpr(0)
CUT = tl.constexpr(1)
N_MINIMUM = tl.constexpr(2)
N_PRUNED = tl.constexpr(3)
WRITE = tl.constexpr(4)
REFUSED = tl.constexpr(5)
REFUSED_KEY = tl.constexpr(6)
PLACES = 7
FULL, RAISED, UNTOUCHED = map(tl.constexpr, (int(Part.FULL), int(Part.RAISED), int(Part.UNTOUCHED)))
# No index and no key is larger, none is smaller.
NONE, NOTHING = tl.constexpr((1 << 63) - 1), tl.constexpr(-(1 << 63))


def update(
    losses: Tensor,
    *,
    gamma: Tensor | None,
    k: int,
    parts: Tensor,
    shares: Tensor,
    flag: Tensor,
) -> Tensor:
    """Set parts and shares by c_min + gamma, or by the level for K, and return the state.

    Parameters
    ----------
    losses
        Shape (N,), contiguous, of a type in `order.INTEGERS`.
    gamma
        The price, float64, shape (1,), on the device; None to find the level instead.
    k
        How many losses are at least above the level; 0 for the largest finite one.
    parts, shares
        Written, unless a loss is refused or no level exists.
    flag
        int64, shape (2,), on the device: if it is zero and a loss is refused, it becomes the two
        places of the state that say which.

    Returns
    -------
    Tensor
        int64, shape (PLACES,), on the device: see the places above.

    """
    n, bits, dtype = losses.numel(), order.bits(losses), losses.dtype
    tiles = -(-n // TILE)
    width, (infinite, limit) = order.width(dtype), _bounds(dtype)
    state = losses.new_zeros(PLACES, dtype=torch.int64)
    # The histograms' programs share the tiles; else each has its own.
    programs = min(tiles, PROGRAMS) if k else tiles
    found = losses.new_empty(3, programs, dtype=torch.int64)
    settings = {"WIDTH": width, **OPTIONS}
    ends = {"INFINITE": infinite, "LIMIT": limit}
    if k:
        passes = width // DIGIT
        counts = losses.new_zeros(passes, 1 << DIGIT, dtype=torch.int64)
        below = losses.new_empty(programs, dtype=torch.int64)
        # The digits chosen so far, and the rank below them; at last the level and whether there is
        # one. A kernel reads one row and writes the next: its warps do not read at one time.
        chosen = losses.new_zeros(passes + 1, 2, dtype=torch.int64)
        for done in range(passes):
            digit = {"SHIFT": width - (done + 1) * DIGIT, "DIGIT": DIGIT, **settings}
            _histogram[(programs,)](
                bits, n, tiles, chosen[done], counts[done], found, below, TILE=TILE, **ends, **digit
            )
            _choose[(1,)](chosen[done], counts[done], k, below, programs, CHUNK=CHUNK, **digit)
        given = chosen[passes]
    else:
        _scan[(programs,)](bits, n, found, TILE=TILE, **ends, **settings)
        given = gamma if gamma is not None else found
    _decide[(1,)](
        bits,
        found,
        programs,
        state,
        flag,
        given,
        INFINITE=infinite,
        KIND=str(dtype).removeprefix("torch."),
        MODE="price" if gamma is not None else "level" if k else "finite",
        CHUNK=CHUNK,
        **settings,
    )
    numbers = losses.new_empty(2, tiles, dtype=torch.int64)
    _mark[(tiles,)](bits, n, state, parts, numbers, tiles, TILE=TILE, **settings)
    _share[(1,)](numbers, tiles, state, shares, CHUNK=CHUNK, **OPTIONS)
    return state


def blend(state: Tensor, parts: Tensor, shares: Tensor, step: Tensor, weights: Tensor) -> None:
    """Set ``w <- w + step (share - w)`` unless the update that left this state was refused.

    `step` has the weights' type and shape (1,).
    """
    n = weights.numel()
    _blend[(-(-n // TILE),)](state, parts, shares, step, weights, n, TILE=TILE, **OPTIONS)


@cache
def _bounds(dtype: torch.dtype) -> tuple[int, int]:
    """Return the keys of +inf and of the largest loss that is allowed."""
    return order.infinite_key(dtype), order.largest_key(LARGEST, dtype)


@triton.jit
def _key(bits, WIDTH: tl.constexpr):
    """Return integers that are ordered as the floats are; 32 bits where they are enough."""
    b = bits if WIDTH == 64 else bits.to(tl.int32)
    k = b ^ ((b >> (63 if WIDTH == 64 else 31)) & ((1 << (WIDTH - 1)) - 1))
    return tl.where(k == -1, 0, k)


@triton.jit
def _places(tile, n, TILE: tl.constexpr):
    """Return the places of a tile's samples, which of them there are, and whether all are."""
    i = tl.full((), TILE, tl.int64) * tile + tl.arange(0, TILE)
    return i, i < n, tl.full((), TILE, tl.int64) * tile + TILE <= n


@triton.jit
def _load(numbers, i, there, full):
    """Return a tile's numbers, 0 where there are none."""
    # Only without a mask several are read at once, whatever n is.
    if full:  # noqa: SIM108 (Triton's expressions choose between constants only)
        found = tl.load(numbers + i)
    else:
        found = tl.load(numbers + i, mask=there, other=0)
    return found


@triton.jit
def _store(numbers, i, values, there, full):
    """Write a tile's numbers."""
    if full:
        tl.store(numbers + i, values)
    else:
        tl.store(numbers + i, values, mask=there)


@triton.jit
def _tile(bits, tile, n, WIDTH: tl.constexpr, TILE: tl.constexpr):
    """Return the places of a tile's samples, which of them there are, and their keys."""
    i, there, full = _places(tile, n, TILE)
    return i, there, _key(_load(bits, i, there, full), WIDTH)


@triton.jit
def _ends(i, there, k, INFINITE: tl.constexpr, LIMIT: tl.constexpr, WIDTH: tl.constexpr):
    """Return a tile's smallest key, its largest one of a finite loss, and its first bad sample."""
    smallest: tl.constexpr = -(1 << (WIDTH - 1))
    lowest = tl.min(tl.where(there, k, ~smallest), axis=0).to(tl.int64)
    highest = tl.max(tl.where(there & (k != INFINITE), k, smallest), axis=0).to(tl.int64)
    bad = there & ((k < -1 - LIMIT) | ((k > LIMIT) & (k != INFINITE)))
    return lowest, highest, tl.min(tl.where(bad, i, NONE), axis=0)


@triton.jit
def _keep(found, lowest, highest, first):
    """Store what a program found."""
    program, programs = tl.program_id(0), tl.num_programs(0)
    tl.store(found + program, lowest)
    tl.store(found + programs + program, highest)
    tl.store(found + 2 * programs + program, first)


@triton.jit
def _scan(
    bits,
    n,
    found,
    INFINITE: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
):
    """Find a tile's ends."""
    i, there, k = _tile(bits, tl.program_id(0), n, WIDTH, TILE)
    lowest, highest, first = _ends(i, there, k, INFINITE, LIMIT, WIDTH)
    _keep(found, lowest, highest, first)


@triton.jit
def _reduced(numbers, length, SMALLEST: tl.constexpr, CHUNK: tl.constexpr):
    """Return the smallest or the largest of some numbers."""
    worst: tl.constexpr = NONE if SMALLEST else NOTHING
    best = tl.full((CHUNK,), worst, tl.int64)
    for start in range(0, length, CHUNK):
        i = start + tl.arange(0, CHUNK)
        more = tl.load(numbers + i, mask=i < length, other=worst)
        best = tl.minimum(best, more) if SMALLEST else tl.maximum(best, more)
    return tl.min(best, axis=0) if SMALLEST else tl.max(best, axis=0)


@triton.jit
def _total(numbers, length, CHUNK: tl.constexpr):
    """Return the sum of some counts."""
    total = tl.zeros((CHUNK,), tl.int64)
    for start in range(0, length, CHUNK):
        i = start + tl.arange(0, CHUNK)
        total += tl.load(numbers + i, mask=i < length, other=0)
    return tl.sum(total, axis=0)


@triton.jit
def _float(k, KIND: tl.constexpr):
    """Return a key's float, exactly, in float64."""
    if KIND == "float64":
        x = tl.where(k < 0, k ^ NONE, k).to(tl.float64, bitcast=True)
    elif KIND == "float32":
        x = tl.where(k < 0, k ^ 0x7FFFFFFF, k).to(tl.int32).to(tl.float32, bitcast=True)
    elif KIND == "bfloat16":
        # The upper half of a float32.
        x = (tl.where(k < 0, k ^ 0x7FFF, k).to(tl.int32) << 16).to(tl.float32, bitcast=True)
    else:
        x = tl.where(k < 0, k ^ 0x7FFF, k).to(tl.int16).to(tl.float16, bitcast=True)
    return x.to(tl.float64)


@triton.jit
def _largest_key(lowest, highest: tl.constexpr, price, WIDTH: tl.constexpr, KIND: tl.constexpr):
    """Return the largest key up to `highest` whose float is at most that of `lowest` + price."""
    c = _float(lowest, KIND)
    # Knuth's TwoSum: total + error is the sum without rounding.
    total = c + price
    part = total - c
    error = (c - (total - part)) + (price - part)
    low, high = lowest, tl.full((), highest, tl.int64)
    for _ in range(WIDTH):
        # Half way, rounded up, without an overflow.
        middle = (low >> 1) + (high >> 1) + ((low | high) & 1)
        x = _float(middle, KIND)
        fits = (x < total) | ((x == total) & (error >= 0))
        low = tl.where(fits, middle, low)
        high = tl.where(fits, high, middle - 1)
    return low


@triton.jit
def _decide(
    bits,
    found,
    programs,
    state,
    flag,
    given,
    INFINITE: tl.constexpr,
    WIDTH: tl.constexpr,
    KIND: tl.constexpr,
    MODE: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Find c_min, whether all losses are fit to be used, and the cut; raise the flag if not.

    What is given is the price, or the level and whether there is one.
    """
    lowest = _reduced(found, programs, True, CHUNK)
    first = _reduced(found + 2 * programs, programs, True, CHUNK)
    fit = (first == NONE) & (lowest < INFINITE)
    write = fit
    tl.store(state + LOWEST, lowest)
    if MODE == "price":
        if fit:
            tl.store(state + CUT, _largest_key(lowest, INFINITE - 1, tl.load(given), WIDTH, KIND))
    elif MODE == "level":
        tl.store(state + CUT, tl.load(given))
        write = fit & (tl.load(given + 1) != 0)
    else:
        tl.store(state + CUT, _reduced(found + programs, programs, False, CHUNK))
    tl.store(state + WRITE, write.to(tl.int64))
    if fit == 0:
        refused = tl.where(first == NONE, tl.full((), -1, tl.int64), first + 1)
        bad = _key(tl.load(bits + first, mask=first != NONE, other=0), WIDTH).to(tl.int64)
        tl.store(state + REFUSED, refused)
        tl.store(state + REFUSED_KEY, bad)
        # What was refused before, and nobody has looked at, stays.
        if tl.atomic_cas(flag, tl.full((), 0, tl.int64), refused) == 0:
            tl.store(flag + 1, bad)


@triton.jit
def _mark(bits, n, state, parts, numbers, tiles, WIDTH: tl.constexpr, TILE: tl.constexpr):
    """Write a tile's parts, and count its I_min and chi."""
    tile = tl.program_id(0)
    i, there, full = _places(tile, n, TILE)
    k = _key(_load(bits, i, there, full), WIDTH)
    cheapest = there & (k <= tl.load(state + LOWEST).to(k.dtype))
    pruned = there & (k > tl.load(state + CUT).to(k.dtype))
    if tl.load(state + WRITE) != 0:
        part = tl.where(pruned, 0, tl.where(cheapest, RAISED, UNTOUCHED)).to(tl.uint8)
        _store(parts, i, part, there, full)
    tl.store(numbers + tile, tl.sum(cheapest.to(tl.int32), axis=0).to(tl.int64))
    tl.store(numbers + tiles + tile, tl.sum(pruned.to(tl.int32), axis=0).to(tl.int64))


@triton.jit
def _share(numbers, tiles, state, shares, CHUNK: tl.constexpr):
    """Set N p on the parts, and report |I_min| and |chi|."""
    n_minimum = _total(numbers, tiles, CHUNK)
    n_pruned = _total(numbers + tiles, tiles, CHUNK)
    tl.store(state + N_MINIMUM, n_minimum)
    tl.store(state + N_PRUNED, n_pruned)
    if tl.load(state + WRITE) != 0:
        heavy = (n_minimum + n_pruned).to(tl.float64) / n_minimum.to(tl.float64)
        part = tl.arange(0, 8)
        share = tl.where(part == RAISED, heavy, tl.where(part == 0, 0.0, 1.0))
        tl.store(shares + part, share.to(shares.dtype.element_ty), mask=part <= FULL)


@triton.jit
def _histogram(
    bits,
    n,
    tiles,
    chosen,
    counts,
    found,
    below,
    INFINITE: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDTH: tl.constexpr,
    SHIFT: tl.constexpr,
    DIGIT: tl.constexpr,
    TILE: tl.constexpr,
):
    """Count a digit among the keys with the higher digits that were chosen.

    The first of them finds the ends as well, and the last the largest key below those digits.
    """
    smallest: tl.constexpr = -(1 << (WIDTH - 1))
    higher: tl.constexpr = WIDTH - SHIFT - DIGIT
    integer: tl.constexpr = tl.int64 if WIDTH == 64 else tl.int32
    prefix = tl.load(chosen).to(integer)
    histogram = tl.zeros((1 << DIGIT,), tl.int64)
    largest = tl.full((TILE,), smallest, integer)
    lowest, highest = tl.full((), NONE, tl.int64), tl.full((), NOTHING, tl.int64)
    first = tl.full((), NONE, tl.int64)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        i, there, k = _tile(bits, tile, n, WIDTH, TILE)
        # From the smallest key up, without a sign.
        rank = k ^ smallest
        inside = there
        if higher:
            above = (rank >> (SHIFT + DIGIT)) & ((1 << higher) - 1)
            inside = there & (above == prefix)
            if SHIFT == 0:
                largest = tl.maximum(largest, tl.where(there & (above < prefix), k, smallest))
        else:
            low, high, bad = _ends(i, there, k, INFINITE, LIMIT, WIDTH)
            lowest, highest = tl.minimum(lowest, low), tl.maximum(highest, high)
            first = tl.minimum(first, bad)
        digit = ((rank >> SHIFT) & ((1 << DIGIT) - 1)).to(tl.int32)
        histogram += tl.histogram(digit, 1 << DIGIT, mask=inside).to(tl.int64)
    tl.atomic_add(counts + tl.arange(0, 1 << DIGIT), histogram)
    if higher == 0:
        _keep(found, lowest, highest, first)
    if SHIFT == 0:
        tl.store(below + tl.program_id(0), tl.max(largest, axis=0).to(tl.int64))


@triton.jit
def _choose(
    chosen,
    counts,
    rank_wanted,
    below,
    programs,
    WIDTH: tl.constexpr,
    SHIFT: tl.constexpr,
    DIGIT: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Find the next digit of the K-th largest key; last, the largest key below it."""
    smallest: tl.constexpr = -(1 << (WIDTH - 1))
    last: tl.constexpr = (1 << DIGIT) - 1
    place = tl.arange(0, 1 << DIGIT)
    # From the largest digit down.
    histogram = tl.load(counts + last - place)
    wanted = tl.load(chosen + 1) if SHIFT + DIGIT < WIDTH else rank_wanted
    found = tl.sum((tl.cumsum(histogram, axis=0) < wanted).to(tl.int64), axis=0)
    prefix = tl.load(chosen) << DIGIT
    if SHIFT:
        tl.store(chosen + 2, prefix | (last - found))
        tl.store(chosen + 3, wanted - tl.sum(tl.where(place < found, histogram, 0), axis=0))
    else:
        lower = tl.min(tl.where((place > found) & (histogram > 0), place, last + 1), axis=0)
        same_prefix = (prefix | (last - lower)) ^ smallest
        if WIDTH < 64:
            same_prefix = (prefix | (last - lower)) + smallest
        level = tl.where(lower <= last, same_prefix, _reduced(below, programs, False, CHUNK))
        tl.store(chosen + 2, level)
        tl.store(chosen + 3, (level > smallest).to(tl.int64))


@triton.jit
def _blend(state, parts, shares, step, weights, n, TILE: tl.constexpr):
    """Take a damped step of a tile's weights."""
    if tl.load(state + WRITE) != 0:
        i, there, full = _places(tl.program_id(0), n, TILE)
        share = tl.load(shares + _load(parts, i, there, full).to(tl.int32))
        w = _load(weights, i, there, full)
        _store(weights, i, w + tl.load(step) * (share - w), there, full)
