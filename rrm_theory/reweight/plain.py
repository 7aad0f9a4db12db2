"""The operations on keys in plain torch: correct on every device, and what others must equal.

`bits` are the losses' bits (see `order`); limits and cuts are keys.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from rrm_theory.reweight import order
from rrm_theory.reweight.parts import Cuts, Part, as_sizes


def keys(bits: Tensor) -> Tensor:
    """Return integers that are ordered as the floats are."""
    width = torch.iinfo(bits.dtype).bits
    return bits ^ ((bits >> (width - 1)) & torch.iinfo(bits.dtype).max)


def scan(bits: Tensor) -> tuple[int, int]:
    """Return the smallest and the largest key."""
    ordered = keys(bits)
    return int(ordered.min()), int(ordered.max())


def count(bits: Tensor, limit: int, cut: int) -> tuple[int, int]:
    """Return how many keys are at most the limit, and how many are above the cut."""
    ordered = keys(bits)
    return int((ordered <= limit).sum()), int((ordered > cut).sum())


def mark(bits: Tensor, lowest: int, cuts: Cuts, parts: Tensor) -> list[int]:
    """Write every sample's part, and return how many are full, raised, thinned, pruned."""
    del lowest
    ordered = keys(bits)
    below = [ordered <= cuts.full, ordered <= cuts.raised]
    above = [ordered > cuts.kept, ordered > cuts.pruned]
    parts.fill_(Part.UNTOUCHED)
    for several in below:
        parts += several
    for several in above:
        parts -= several.to(parts.dtype)
    return as_sizes(*(int(several.sum()) for several in below + above))


def blend(parts: Tensor, shares: Tensor, step: float, weights: Tensor) -> None:
    """Set ``w <- w + step (share - w)``, each operation rounded to the weights' type."""
    # In this form an untouched sample stays at exactly 1.
    weights.add_(step * (shares[parts.int()] - weights))


def kth_largest(bits: Tensor, k: int) -> int:
    """Return the K-th largest key, 1 <= k <= N."""
    lowest, highest = scan(bits)
    return order.kth_largest(partial(histogram, bits, lowest), lowest, highest, k)


def histogram(bits: Tensor, lowest: int, shift: int, digit: int, prefix: int) -> Tensor:
    """Return how often each digit of ``key - lowest`` occurs below the given higher digits."""
    # Modulo 2^64, and without a sign from here on.
    ranks = keys(bits).long() - lowest
    digits = (ranks >> shift) & ((1 << min(digit, 64 - shift)) - 1)
    higher = 64 - shift - digit
    if higher > 0:
        digits = digits[(ranks >> (shift + digit)) & ((1 << higher) - 1) == prefix]
    return torch.bincount(digits, minlength=1 << digit)


def level(bits: Tensor, k: int) -> int | None:
    """Return the largest key of a loss below the K-th largest loss, None if there is none."""
    return largest_below(bits, order.smallest_equal(kth_largest(bits, k)))


def largest_below(bits: Tensor, bound: int) -> int | None:
    """Return the largest key below ``bound``, None if there is none."""
    ordered = keys(bits)
    below = ordered[ordered < bound]
    return int(below.max()) if below.numel() else None
