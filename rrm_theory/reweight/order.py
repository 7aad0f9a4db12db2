"""Losses as integers in the same order, so that comparing, counting and selecting are exact.

The bits of a float, read as a signed integer and flipped below the sign if negative, grow with the
float: this is its key. -0.0 has the key -1 and 0.0 the key 0; NaN lies beyond the infinities.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import torch
from torch import Tensor

INTEGERS = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}


def width(dtype: torch.dtype) -> int:
    """Return the number of bits of a float type."""
    return torch.finfo(dtype).bits


def bits(losses: Tensor) -> Tensor:
    """Return the losses' bits as signed integers, without a copy if they are contiguous."""
    return losses.contiguous().view(INTEGERS[losses.dtype])


def key(value: float, dtype: torch.dtype) -> int:
    """Return the key of ``value`` rounded to ``dtype``.

    Examples
    --------
    >>> [key(x, torch.float32) for x in (0.0, -0.0)]
    [0, -1]

    """
    return _flipped(int(bits(torch.tensor([value], dtype=dtype))), dtype)


def value(key: int, dtype: torch.dtype) -> float:
    """Return the float of a key, exactly; -0.0 becomes 0.0, which it equals.

    Examples
    --------
    >>> value(key(0.5, torch.float16), torch.float16)
    0.5

    """
    integers = torch.tensor([_flipped(key, dtype)], dtype=INTEGERS[dtype])
    return float(integers.view(dtype)) + 0.0


def largest_key(limit: float, dtype: torch.dtype) -> int:
    """Return the largest key whose float is at most ``limit``.

    Examples
    --------
    >>> value(largest_key(1.0 + 2.0**-20, torch.bfloat16), torch.bfloat16)
    1.0

    """
    infinite, largest = infinite_key(dtype), torch.finfo(dtype).max
    if largest < abs(limit) < inf:
        return infinite - 1 if limit > 0 else -1 - infinite
    nearest = key(limit, dtype)
    below = nearest - (value(nearest, dtype) > limit)
    # 0.0 is no larger than -0.0.
    return 0 if below == -1 else below


def smallest_equal(key: int) -> int:
    """Return the smallest key of an equal float: -0.0, whose key is -1, is not below 0.0."""
    return -1 if key == 0 else key


def below(key: int) -> int:
    """Return the largest key of a smaller float."""
    return smallest_equal(key) - 1


def largest_equal(key: int) -> int:
    """Return the largest key of an equal float: 0.0 is not above -0.0."""
    return 0 if key == -1 else key


def kth_largest(
    histogram: Callable[[int, int, int], Tensor], lowest: int, highest: int, k: int
) -> int:
    """Return the K-th largest of keys between two bounds from histograms of their digits.

    Parameters
    ----------
    histogram
        ``histogram(shift, digit, prefix)`` counts each of the 2^digit digits at ``shift`` of
        ``key - lowest``, among those whose higher digits are ``prefix``; shape (2^digit,).
    lowest, highest
        No key is outside.
    k
        1 for the largest, at most the number of keys.

    Returns
    -------
    int
        The key. Exact, and the same however the histograms were added up. At most three of them:
        one if the keys span 16 bits, two if they span 32.

    """
    span = (highest - lowest).bit_length()
    passes = next(p for p, most in ((1, 16), (2, 32), (3, 64)) if span <= most)
    digit = -(-span // passes)
    prefix, wanted = 0, k
    for shift in range(digit * (passes - 1), -1, -digit) if digit else ():
        above = histogram(shift, digit, prefix).flip(0).cumsum(0)
        found = int((above < wanted).sum())
        wanted -= int(above[found - 1]) if found else 0
        prefix = (prefix << digit) | (len(above) - 1 - found)
    return lowest + prefix


def infinite_key(dtype: torch.dtype) -> int:
    """Return the key of +inf; that of -inf is ``-1`` minus it."""
    return key(inf, dtype)


def _flipped(integer: int, dtype: torch.dtype) -> int:
    """Return bits as a key, or a key as bits."""
    return integer ^ ((1 << (width(dtype) - 1)) - 1) if integer < 0 else integer
