r"""Where the parts of u* end: by a price, by an estimate of the contamination, by a budget; a cap.

    min_p  sum_i p_i c_i + gamma TV(p, q)   s.t.  0 <= p_i <= cap / N,  sum_i p_i = 1,  q_i = 1/N

or, with a budget, ``TV(p, q) <= budget`` in place of the price. All of it is found by counting
losses, so that it is exact, and the same however the data is divided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, inf, nextafter
from types import ModuleType

import torch
from torch import Tensor

from rrm_theory._exact import exact_cut
from rrm_theory.reweight import order
from rrm_theory.reweight.parts import Cuts


class Losses:
    """The losses of one process, as what can be asked about them; all numbers are keys.

    Parameters
    ----------
    do
        The operations that serve the losses' device.
    bits
        The losses' bits, shape (N,), N >= 1.
    dtype
        Their type as floats.

    """

    lowest: int
    highest: int

    def __init__(self, do: ModuleType, bits: Tensor, dtype: torch.dtype) -> None:
        self.do, self.bits, self.dtype = do, bits, dtype
        self.lowest, self.highest = do.scan(bits)

    @property
    def minimum(self) -> float:
        """c_min, loss units."""
        return order.value(self.lowest, self.dtype)

    def count(self, limit: int, cut: int) -> tuple[int, int]:
        """Return how many losses are at most the limit, and how many are above the cut."""
        low, high = self.do.count(self.bits, limit, cut)
        return low, high

    def count_minimum(self) -> int:
        """Return |I_min|."""
        return self.count(order.largest_equal(self.lowest), order.infinite_key(self.dtype))[0]

    def kth_largest(self, k: int) -> int:
        """Return the K-th largest loss, 1 <= k <= N."""
        key: int = self.do.kth_largest(self.bits, k)
        return key

    def level(self, k: int) -> int | None:
        """Return the largest finite loss, below the K-th largest one if K > 0; None if none is."""
        if k:
            level: int | None = self.do.level(self.bits, k)
        else:
            level = self.do.largest_below(self.bits, order.infinite_key(self.dtype))
        return level

    def mark(self, cuts: Cuts, parts: Tensor) -> list[int]:
        """Write the samples' parts; return how many are full, raised, thinned, pruned."""
        sizes: list[int] = self.do.mark(self.bits, self.lowest, cuts, parts)
        return sizes


@dataclass(frozen=True, kw_only=True)
class Target:
    """What u* does.

    Attributes
    ----------
    cuts
        Where the parts end.
    threshold
        A float64 that separates: losses above it are pruned, the others are not.
    moved
        The mass that moves, in samples; None if it is what the pruned samples had.
    free
        Whether moves cost nothing because the level is c_min.

    """

    cuts: Cuts
    threshold: float
    moved: Fraction | None = None
    free: bool = False


def by_price(losses: Losses, gamma: float) -> Target:
    """Return the target without a cap: losses above c_min + gamma are pruned."""
    return _pruning_above(losses, exact_cut(losses.minimum, gamma)[0])


def by_level(losses: Losses, k: int, room: Fraction | None) -> Target | None:
    """Return the target for the level of Section 3.5.1; None if there is none.

    Without a cap losses above the level are pruned; with one the level less c_min is the price.
    """
    level = losses.level(k)
    if level is None:
        return None
    threshold = order.value(level, losses.dtype)
    if room is None:
        target = _pruning_above(losses, threshold)
    else:
        price = Fraction(threshold) - Fraction(losses.minimum)
        target = by_moves(losses, price=price, most=None, room=room)
    return replace(target, free=threshold == losses.minimum)


def _pruning_above(losses: Losses, threshold: float) -> Target:
    """Return the target that moves all mass above a threshold onto I_min."""
    cut = order.largest_key(threshold, losses.dtype)
    cheapest = order.largest_equal(losses.lowest)
    cuts = Cuts(full=order.below(losses.lowest), raised=cheapest, kept=cut, pruned=cut)
    return Target(cuts=cuts, threshold=threshold)


def by_moves(
    losses: Losses, *, price: Fraction, most: Fraction | None, room: Fraction | None
) -> Target:
    """Return the target that moves mass from large to small losses while that is worth its price.

    Parameters
    ----------
    losses
        The losses.
    price
        What a move must save at least, loss units.
    most
        Mass that may move, in samples; None for all.
    room
        What a sample may receive, in samples; None for all.

    Notes
    -----
    Source: theory.md A.8, A.9. Let D(b) be the mass of losses above b + price, at most `most`, and
    R(b) the room of losses up to b. R grows and D falls, so there is a smallest b with
    ``R(b) >= D(b)``: below it all that has room is filled. The mass that moves is D(b), or the room
    below b if that is more. Cost: with a cap a pass for every bit of a key, and a selection.

    """
    dtype, infinite = losses.dtype, order.infinite_key(losses.dtype)

    def sides(b: int) -> tuple[int, Fraction | int]:
        """Return how many losses are at most b, and D(b)."""
        cut = infinite
        if b < infinite:
            cut = order.largest_key(_floor(Fraction(order.value(b, dtype)) + price), dtype)
        low, high = losses.count(order.largest_equal(b), cut)
        return low, high if most is None else min(most, Fraction(high))

    low, high = losses.lowest, losses.highest
    while room is not None and low < high:
        b = (low + high) // 2
        receivers, given = sides(b)
        if room * receivers >= given:
            high = b
        else:
            low = b + 1
    b = low
    _, demand = sides(b)
    full = order.below(b)
    filled = Fraction(0) if room is None else room * losses.count(full, infinite)[0]
    moved = Fraction(max(filled, demand))
    raised = full if moved == filled else order.largest_equal(b)
    if not moved:
        return Target(cuts=Cuts(full, full, infinite, infinite), threshold=inf, moved=moved)
    last = losses.kth_largest(ceil(moved))
    kept, pruned = order.below(last), order.largest_equal(last)
    if losses.count(full, kept)[1] == moved:
        threshold = nextafter(order.value(last, dtype), -inf)
        return Target(cuts=Cuts(full, raised, kept, kept), threshold=threshold, moved=moved)
    threshold = order.value(last, dtype)
    return Target(cuts=Cuts(full, raised, kept, pruned), threshold=threshold, moved=moved)


def _floor(number: Fraction) -> float:
    """Return the largest float64 that is at most a number."""
    nearest = float(number)
    return nextafter(nearest, -inf) if Fraction(nearest) > number else nearest
