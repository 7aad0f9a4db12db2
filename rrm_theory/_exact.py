"""Exact arithmetic on floats: the cut c_min + gamma, counts, and numbers over one denominator.

`losses` are c_i, `gamma` is the price. Rounding c_min + gamma to a float and comparing with that
misplaces losses next to the cut, so the rounding error is computed and taken into account.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, inf, lcm, nextafter


def exact_cut(minimum: float, gamma: float) -> tuple[float, bool]:
    """Return the largest float64 ``t <= minimum + gamma``, and whether ``t`` is the sum itself.

    For a float c: ``c > minimum + gamma`` iff ``c > t``, and ``c == minimum + gamma`` iff
    ``c == t`` and the flag is set.

    Notes
    -----
    Source: theory.md, exact comparison in floats. Exact for arguments below 2^960 in absolute
    value: Knuth's TwoSum yields the rounding error of the sum without error. Cost O(1).

    Examples
    --------
    >>> exact_cut(1.0, 0.5)
    (1.5, True)
    >>> exact_cut(1.0, 2.0**-60)  # the sum is no float; the largest float below it is 1
    (1.0, False)

    """
    total = minimum + gamma
    gamma_part = total - minimum
    error = (minimum - (total - gamma_part)) + (gamma - gamma_part)
    if error < 0:
        return nextafter(total, -inf), False
    return total, error == 0


def samples_to_prune(contamination: Fraction, n: int) -> int:
    """Return the least integer k with ``k / n >= contamination``."""
    return ceil(contamination * n)


def over_one_denominator(numbers: Iterable[float | Fraction]) -> tuple[list[int], int]:
    """Return integers k_i and one denominator d > 0 with ``numbers[i] == k_i / d`` exactly.

    Sums of products of long vectors are then sums of integers, which need no reduction to lowest
    terms at every step.

    Examples
    --------
    >>> over_one_denominator([0.5, -0.75, Fraction(1, 3)])
    ([6, -9, 4], 12)

    """
    ratios = [number.as_integer_ratio() for number in numbers]
    denominator = lcm(*{d for _, d in ratios})
    return [k * (denominator // d) for k, d in ratios], denominator


def nominal_masses(nominal: list[float] | None, n: int) -> tuple[list[int], int]:
    """Return the probabilities q as integers over one denominator; 1/n each if not given."""
    return ([1] * n, n) if nominal is None else over_one_denominator(nominal)
