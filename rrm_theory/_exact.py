"""Exact float64 comparisons: the cut c_min + gamma, and the count that a contamination asks for.

`losses` are c_i, `gamma` is the price. Rounding c_min + gamma to a float and comparing with that
misplaces losses next to the cut, so the rounding error is computed and taken into account.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, inf, nextafter


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
