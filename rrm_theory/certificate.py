r"""Certificates in rational arithmetic: a bracket around R_gamma(c) that needs no trust.

    sum_i q_i min(c_i, lambda + gamma/2)  <=  R_gamma(c)  <=  sum_i p_i c_i + (gamma/2) ||p - q||_1

holds for every multiplier lambda <= c_min + gamma/2 (`multiplier`) and every feasible p = q + u:
weak duality, nothing else. Floats are rationals, so both sides are computed without rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf, lcm
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rrm_theory._checks import (
    Displacement,
    Vector,
    displacement,
    distribution,
    loss_vector,
    nominal_floats,
    positive,
)
from rrm_theory._exact import nominal_masses, over_one_denominator


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A proof of how good a displacement is, to be checked by hand if need be.

    Attributes
    ----------
    lower
        Dual value at ``multiplier``, loss units, exact: no displacement costs less.
    upper
        Cost of ``u``, loss units, exact; the float ``inf`` if ``u`` leaves mass on a +inf loss.
    u
        The feasible displacement that attains ``upper``, N fractions: the one that was given, or
        what `certify` had to make of it.
    multiplier
        The dual feasible lambda that attains ``lower``, loss units.
    repair
        L1 distance between the displacement as read (see `certify`) and ``u``, probability; 0 if
        it was feasible.

    """

    lower: Fraction
    upper: Fraction | float
    u: tuple[Fraction, ...]
    multiplier: Fraction
    repair: Fraction

    @property
    def gap(self) -> Fraction | float:
        """``upper - lower >= 0``, loss units; the cost of ``u`` is R_gamma(c) plus at most this."""
        return self.upper - self.lower

    @property
    def is_optimal(self) -> bool:
        """Whether ``u`` is a minimiser; exact, since ``lower`` is always R_gamma(c) itself."""
        return self.gap == 0


def certify(
    u: Displacement, losses: ArrayLike, *, gamma: float, nominal: ArrayLike | None = None
) -> Certificate:
    r"""Return the exact bracket ``lower <= R_gamma(c) <= upper`` that ``u`` proves.

    An entry equal to the rounding of ``-q_i`` in the type of ``u`` is read as ``-q_i``: no float is
    -1/3. The rest is taken as it is and made feasible: entries below ``-q_i`` are raised to it;
    then the mass received (positive part of u) is scaled to the mass freed (negative part). If one
    of the two is missing, ``q + u`` is normalised instead; if nothing is left of it, u is 0.

    Parameters
    ----------
    u
        Displacement of probability, shape (N,), from anywhere: fractions, or any float type.
    losses
        Per-sample losses c, shape (N,), loss units, as in :func:`rrm_theory.relaxed_risk`.
    gamma
        Price in (0, 2^960] per unit of total variation in the convention of Eq. (2), loss units.
    nominal
        Probabilities q, shape (N,), taken as the exact floats they are; 1/N each if not given.

    Returns
    -------
    Certificate
        lower, upper, gap, is_optimal, and the feasible pair that proves them.

    Raises
    ------
    ValueError
        If ``u`` is not a vector of N finite real numbers; for the rest as
        :func:`rrm_theory.relaxed_risk`.

    Notes
    -----
    Source: theory.md, Certificate. Exact. Cost O(N) operations on integers as long as the common
    denominators of ``u``, ``losses`` and ``nominal``: short for floats, but thousands of unrelated
    fractions have a long one. Underflow in the floats of ``u`` is not repaired.

    Examples
    --------
    >>> proof = certify([0.5, 0.0, -0.5], [0.0, 1.0, 9.0], gamma=2.0)  # 1/2 > 1/3: repaired
    >>> proof.u
    (Fraction(1, 3), Fraction(0, 1), Fraction(-1, 3))
    >>> proof.lower, proof.upper, proof.is_optimal  # (0 + 1 + 2) / 3, and 1/3 + 2/3
    (Fraction(1, 1), Fraction(1, 1), True)
    >>> certify([0.0, 0.0, 0.0], [0.0, 1.0, 9.0], gamma=2.0).gap  # mean(c) - 1
    Fraction(7, 3)

    """
    c = loss_vector(losses)
    price = positive(gamma, "gamma")
    q = None if nominal is None else distribution(nominal, c.size)
    given = displacement(u, c.size)
    read, masses, unit = _read(given, q)
    moved, scale = _made_feasible(read, masses)
    lower, upper = _bracket(c, price, masses, moved, scale, unit)
    change = sum(abs(k - scale * before) for k, before in zip(moved, read, strict=True))
    if given.dtype == object and change == 0:
        certified = tuple(given.tolist())
    else:
        # Reducing a fraction to lowest terms is what costs, and few values occur.
        fractions = {k: Fraction(k, scale * unit) for k in set(moved)}
        certified = tuple(fractions[k] for k in moved)
    return Certificate(
        lower=lower,
        upper=upper,
        u=certified,
        multiplier=Fraction(float(c.min())) + Fraction(price) / 2,
        repair=Fraction(change, scale * unit),
    )


def _read(u: NDArray[Any], q: Vector | None) -> tuple[list[int], list[int], int]:
    """Return u and q as integers over one denominator, a rounded -q_i read as -q_i."""
    masses, mass_unit = nominal_masses(None if q is None else q.tolist(), u.size)
    numerators, u_unit = over_one_denominator(u.tolist())
    unit = lcm(mass_unit, u_unit)
    masses = [m * (unit // mass_unit) for m in masses]
    numerators = [k * (unit // u_unit) for k in numerators]
    if u.dtype.kind == "f":
        whole = -nominal_floats(q, u.size).astype(u.dtype)
        # Where -q_i is too small for the type, 0 is 0.
        for i in np.flatnonzero((u == whole) & (whole != 0)).tolist():
            numerators[i] = -masses[i]
    return numerators, masses, unit


def _made_feasible(u: list[int], q: list[int]) -> tuple[list[int], int]:
    """Return (v, scale): v / scale is feasible, and it is u if u is."""
    clipped = [max(k, -m) for k, m in zip(u, q, strict=True)]
    received = sum(max(k, 0) for k in clipped)
    freed = received - sum(clipped)
    if received == freed:
        return clipped, 1
    if received and freed:
        return [k * (freed if k > 0 else received) for k in clipped], received
    total = sum(q)
    left = total + received - freed
    if left == 0:
        return [0] * len(u), 1
    return [(m + k) * total - m * left for k, m in zip(clipped, q, strict=True)], left


def _bracket(
    c: Vector, gamma: float, q: list[int], u: list[int], scale: int, unit: int
) -> tuple[Fraction, Fraction | float]:
    """Return (dual value at c_min + gamma/2, cost of u / scale), q and u counted in 1 / unit."""
    infinite = np.isinf(c)
    (*levels, price), loss_unit = over_one_denominator([*np.where(infinite, 0, c).tolist(), gamma])
    cut = min(k for k, gone in zip(levels, infinite, strict=True) if not gone) + price
    clipped = (
        cut if gone else min(k, cut) for k, gone in zip(levels, infinite.tolist(), strict=True)
    )
    lower = Fraction(sum(map(mul, q, clipped)), unit * loss_unit)
    weights = [scale * m + k for m, k in zip(q, u, strict=True)]
    if any(weights[i] for i in np.flatnonzero(infinite).tolist()):
        return lower, inf
    penalty = price * sum(map(abs, u))
    upper = Fraction(2 * sum(map(mul, weights, levels)) + penalty, 2 * scale * unit * loss_unit)
    return lower, upper
