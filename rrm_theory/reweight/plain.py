"""The three operations on keys in plain torch: correct on every device, and what others must equal.

`bits` are the losses' bits (see `order`), a cut and a limit are keys: chi = {key > cut} and
I_min = {key <= limit}.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rrm_theory.reweight import order


class Scan(NamedTuple):
    """What one pass over the losses found: their smallest and largest key."""

    lowest: int
    highest: int


def keys(bits: Tensor) -> Tensor:
    """Return integers that are ordered as the floats are."""
    width = torch.iinfo(bits.dtype).bits
    return bits ^ ((bits >> (width - 1)) & torch.iinfo(bits.dtype).max)


def scan(bits: Tensor) -> Scan:
    """Return the smallest and the largest key."""
    ordered = keys(bits)
    return Scan(lowest=int(ordered.min()), highest=int(ordered.max()))


def count_minimum(bits: Tensor, scanned: Scan, limit: int) -> int:
    """Return |I_min|."""
    del scanned
    return int((keys(bits) <= limit).sum())


def prune(bits: Tensor, cut: int, weights: Tensor, pruned: Tensor) -> int:
    """Mark chi, set the weights there to 0 and to 1 elsewhere, and return |chi|."""
    torch.gt(keys(bits), cut, out=pruned)
    weights.copy_(torch.logical_not(pruned))
    return int(pruned.sum())


def place(bits: Tensor, scanned: Scan, limit: int, heavy: float, weights: Tensor) -> None:
    """Set the weights on I_min."""
    del scanned
    weights[keys(bits) <= limit] = heavy


def count_pruned(bits: Tensor, cut: int, pruned: Tensor) -> int:
    """Mark chi and return |chi|."""
    torch.gt(keys(bits), cut, out=pruned)
    return int(pruned.sum())


def blend(
    bits: Tensor, limit: int, heavy: float, step: float, weights: Tensor, pruned: Tensor
) -> None:
    """Set ``w <- w + step (target - w)``, each operation rounded to the weights' type."""
    target = torch.ones_like(weights)
    target[pruned] = 0.0
    target[keys(bits) <= limit] = heavy
    # In this form an untouched sample stays at exactly 1.
    weights.add_(step * (target - weights))


def kth_largest(bits: Tensor, k: int) -> int:
    """Return the K-th largest key, 1 <= k <= N."""
    ordered = keys(bits)
    return int(torch.kthvalue(ordered, ordered.numel() - k + 1).values)


def histogram(bits: Tensor, shift: int, prefix: int) -> Tensor:
    """Return how often each digit at ``shift`` occurs below the given higher digits."""
    width = torch.iinfo(bits.dtype).bits
    # From the smallest key up: the sign bit turned round, and no sign after that.
    ranks = keys(bits).long() + (1 << (width - 1)) if width < 64 else keys(bits) ^ -(1 << 63)
    digits = (ranks >> shift) & ((1 << order.DIGIT) - 1)
    higher = width - shift - order.DIGIT
    if higher:
        digits = digits[(ranks >> (shift + order.DIGIT)) & ((1 << higher) - 1) == prefix]
    return torch.bincount(digits, minlength=1 << order.DIGIT)


def level(bits: Tensor, k: int) -> int | None:
    """Return the largest key of a loss below the K-th largest loss, None if there is none."""
    return largest_below(bits, order.smallest_equal(kth_largest(bits, k)))


def largest_below(bits: Tensor, bound: int) -> int | None:
    """Return the largest key below ``bound``, None if there is none."""
    ordered = keys(bits)
    below = ordered[ordered < bound]
    return int(below.max()) if below.numel() else None
