r"""The family with a cap and a price, or a budget: relaxation and trimming as its two ends.

    capped:   min_p  sum_i p_i c_i + gamma TV(p, q)   s.t.  0 <= p_i <= cap q_i,  sum p = sum q
    trimmed:  min_p  sum_i p_i c_i                    s.t.  TV(p, q) <= budget, and the same

TV(p, q) = (1/2) ||p - q||_1 is the mass that moves; q is `nominal`, 1/N each unless given. Mass
leaves the largest losses and fills the smallest up to the cap, while the difference exceeds gamma.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import inf, nan, prod
from operator import mul

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rrm_theory._checks import (
    Mask,
    Vector,
    at_least_one,
    distribution,
    fraction_of_samples,
    loss_vector,
    nominal_floats,
    positive,
)
from rrm_theory._exact import exact_cut, nominal_masses, over_one_denominator


class CappedOutcome(Enum):
    """What the set of minimisers looks like; the value is the message."""

    UNCHANGED = "No move is worth its price: the nominal weights are the only minimiser."
    UNCHANGED_TIED = "The nominal weights are optimal, and so is moving some mass at no net gain."
    MOVED = "Mass moves, and the weights are the only minimiser."
    MOVED_TIED = (
        "Mass moves, and the weights are one minimiser of many: losses are equal, or differ by "
        "exactly gamma."
    )
    INFINITE = (
        "Some mass cannot leave the +inf losses, so every choice costs +inf: raise the cap or the "
        "budget, or drop these samples."
    )


class TrimmedOutcome(Enum):
    """Whether the budget binds; the value is the message."""

    SPENT = "The whole budget is spent, and more would lower the value or leave it."
    NOT_NEEDED = "Moving more would not lower the value: less than the budget is spent."
    INFINITE = CappedOutcome.INFINITE.value


@dataclass(frozen=True, kw_only=True, eq=False)
class CappedRelaxation:
    """A minimiser of the capped problem that treats equal losses alike, with its value and dual.

    Attributes
    ----------
    losses, nominal, gamma, cap
        The problem as solved; vectors in float64, shape (N,); cap as an exact fraction.
    u, weights
        ``p - q`` and ``p``, shape (N,), probability.
    pruned, filled
        Where ``p_i = 0`` and where ``p_i = cap q_i``, of samples with q_i > 0; bool, shape (N,),
        exact.
    moved
        TV(p, q), the mass that moves, probability, exact.
    value
        Loss units, rounded once; +inf if mass cannot leave the +inf losses.
    multiplier
        The smallest optimal multiplier of ``sum u = 0``, loss units, rounded once; NaN where the
        value is infinite.
    multiplier_interval
        All of them, (smallest, largest); the largest may be +inf.
    outcome
        Whether mass moves, and whether another minimiser exists.

    """

    losses: Vector
    nominal: Vector
    gamma: float
    cap: Fraction
    u: Vector
    weights: Vector
    pruned: Mask
    filled: Mask
    moved: Fraction
    value: float
    multiplier: float
    multiplier_interval: tuple[float, float]
    outcome: CappedOutcome


@dataclass(frozen=True, kw_only=True, eq=False)
class TrimmedRisk:
    """A minimiser within a budget of total variation that treats equal losses alike.

    Attributes
    ----------
    u, weights
        ``p - q`` and ``p``, shape (N,), probability.
    moved
        TV(p, q) of these weights, probability, exact; the least that attains the value.
    value
        Loss units, rounded once; +inf if mass cannot leave the +inf losses.
    multiplier
        What a little more budget would save per unit, loss units: the smallest optimal multiplier,
        minus the right derivative of the value in the budget; rounded once; NaN where the value is
        infinite.
    multiplier_interval
        All optimal multipliers of the budget, (smallest, largest); the largest is minus the left
        derivative, +inf at budget 0.
    outcome
        Whether the budget binds.

    """

    u: Vector
    weights: Vector
    moved: Fraction
    value: float
    multiplier: float
    multiplier_interval: tuple[float, float]
    outcome: TrimmedOutcome


@dataclass(frozen=True, kw_only=True, eq=False)
class _Transfer:
    """What has moved between the distinct losses `levels`, in integers over the denominator `unit`.

    A level has the mass `masses`, room for `rooms` more under the cap, and its net change so far is
    `net`, between -masses and rooms. `level_of` is the level of each sample.
    """

    levels: Vector
    level_of: NDArray[np.intp]
    masses: list[int]
    rooms: list[int]
    net: list[int]
    unit: int

    @property
    def moved(self) -> Fraction:
        """The mass that moved: half the L1 norm of u."""
        return Fraction(self._received, self.unit)

    @property
    def _received(self) -> int:
        """The same in units."""
        return sum(max(d, 0) for d in self.net)

    def weights(self, q: Vector | None) -> Vector:
        """Return p; a level's samples change in proportion to q."""
        return self._by_sample([m + d for m, d in zip(self.masses, self.net, strict=True)], q)

    def displacement(self, q: Vector | None) -> Vector:
        """Return p - q."""
        return self._by_sample(self.net, q)

    def _by_sample(self, numerators: list[int], q: Vector | None) -> Vector:
        """Return q_i numerator / mass of the level of i; quotients of integers are rounded once."""
        n = self.level_of.size if q is None else 1
        shares = [k / (m * n) if m else 0.0 for k, m in zip(numerators, self.masses, strict=True)]
        by_sample: Vector = np.array(shares)[self.level_of]
        if q is None:
            return by_sample
        p: Vector = q * by_sample
        if self.net[0] and not self.masses[0]:
            # Without a cap a level without mass may receive; there is no proportion to keep.
            cheapest = self.level_of == 0
            p[cheapest] = numerators[0] / (self.unit * int(cheapest.sum()))
        return p

    def value(self, gamma: float) -> float:
        """Return sum p c + gamma TV(p, q), exact but for one rounding."""
        held = [m + d for m, d in zip(self.masses, self.net, strict=True)]
        finite = np.isfinite(self.levels)
        if any(held[k] for k in np.flatnonzero(~finite).tolist()):
            return inf
        (*levels, price), loss_unit = over_one_denominator(
            [*np.where(finite, self.levels, 0).tolist(), gamma]
        )
        total = sum(map(mul, held, levels)) + price * self._received
        return float(Fraction(total, self.unit * loss_unit))

    def ends(self) -> tuple[Mask, Mask]:
        """Return which levels are emptied, and which are full."""
        emptied = [d == -m for m, d in zip(self.masses, self.net, strict=True)]
        full = [d == r for r, d in zip(self.rooms, self.net, strict=True)]
        return np.array(emptied), np.array(full)

    def multipliers(self, half: Fraction) -> tuple[Fraction | float, Fraction | float]:
        """Return the (smallest, largest) lambda at which no sample wants to change.

        A sample gains by growing if its loss plus gamma/2, or minus gamma/2 while it is below q, is
        below lambda; and by shrinking if the like is above.
        """
        open_to_more, donor, receiver, left = self._edges()
        return max(receiver + half, left - half), min(open_to_more + half, donor - half)

    def budget_multipliers(self, budget: Fraction) -> tuple[Fraction | float, Fraction | float]:
        """Return minus the (right, left) derivative of the value in the budget."""
        open_to_more, donor, receiver, left = self._edges()
        if self.moved < budget:
            return Fraction(0), Fraction(0)
        gain = Fraction(0) if open_to_more == inf else max(Fraction(0), left - open_to_more)
        return gain, donor - receiver

    def _edges(self) -> tuple[Fraction | float, ...]:
        """Return the four losses that multipliers depend on; infinite where there is no such level.

        Smallest loss with room at or above q; smallest that gave; largest that received; largest
        with mass left that has not received.
        """
        changes = list(zip(self.masses, self.rooms, self.net, strict=True))
        backwards = range(len(changes))[::-1]
        first = [
            next((k for k, (_, r, d) in enumerate(changes) if 0 <= d < r), None),
            next((k for k, (_, _, d) in enumerate(changes) if d < 0), None),
        ]
        last = [
            next((k for k in backwards if changes[k][2] > 0), None),
            next((k for k in backwards if -changes[k][0] < changes[k][2] <= 0), None),
        ]
        return (
            *(inf if k is None else self._loss(k) for k in first),
            *(-inf if k is None else self._loss(k) for k in last),
        )

    def _loss(self, level: int) -> Fraction | float:
        """Return a level's loss, exactly."""
        loss = float(self.levels[level])
        return loss if loss == inf else Fraction(loss)

    def tied(self, gamma: float, q: Vector | None) -> bool:
        """Whether another transfer costs the same.

        Either the next move would gain nothing and lose nothing, or a level has changed in part,
        and its samples may share the change in any way.
        """
        open_to_more, _, _, left = self._edges()
        if left - open_to_more == gamma:
            return True
        counts = np.bincount(
            self.level_of if q is None else self.level_of[q > 0], minlength=self.levels.size
        ).tolist()
        return any(
            n > 1 and (-m < d < 0 or 0 < d < r)
            for m, r, d, n in zip(self.masses, self.rooms, self.net, counts, strict=True)
        )


def _transfer(
    c: Vector,
    q: Vector | None,
    *,
    cap: Fraction | None,
    gamma: float = 0.0,
    budget: Fraction | None = None,
) -> _Transfer:
    """Move mass from the largest to the smallest loss while that gains more than gamma a unit."""
    levels, level_of = np.unique(c, return_inverse=True)
    per_sample, unit = nominal_masses(None if q is None else q.tolist(), c.size)
    # In this unit mass, room under the cap and budget are all integers.
    refine = prod(x.denominator for x in (cap, budget) if x is not None)
    masses = [0] * levels.size
    for level, mass in zip(level_of.tolist(), per_sample, strict=True):
        masses[level] += refine * mass
    unit *= refine
    total = sum(masses)
    if cap is None:
        rooms = [total] * levels.size
    else:
        numerator, denominator = (cap - 1).as_integer_ratio()
        rooms = [mass // denominator * numerator for mass in masses]
    net = [0] * levels.size
    left = total if budget is None else int(budget * unit)
    low, high = 0, levels.size - 1
    losses = levels.tolist()
    cut, _ = exact_cut(losses[0], gamma)
    while left and losses[high] > cut:
        step = min(rooms[low] - net[low], masses[high] + net[high], left)
        net[low] += step
        net[high] -= step
        left -= step
        if net[high] == -masses[high]:
            high -= 1
        if net[low] == rooms[low]:
            low += 1
            cut, _ = exact_cut(losses[low], gamma)
    return _Transfer(
        levels=levels,
        level_of=level_of,
        masses=masses,
        rooms=rooms,
        net=net,
        unit=unit,
    )


def capped_relax(
    losses: ArrayLike, *, gamma: float, cap: float | Fraction, nominal: ArrayLike | None = None
) -> CappedRelaxation:
    r"""Return a minimiser of ``sum p_i c_i + gamma TV(p, q)`` with ``0 <= p_i <= cap q_i``.

    Mass leaves the largest losses and fills the smallest up to the cap while the difference exceeds
    gamma; equal losses give and receive in proportion to q. Without a cap all of it would land on
    the samples of the smallest loss, often a single one.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), loss units, as in :func:`rrm_theory.relaxed_risk`.
    gamma
        Price in (0, 2^960] per unit of total variation in the convention of Eq. (2), loss units.
    cap
        kappa >= 1, a multiple of q_i; 2 lets a weight double. A float is read as the decimal that
        denotes it. With 1/N each, ``cap = N`` is :func:`rrm_theory.relax`.
    nominal
        Probabilities q, shape (N,), taken as the exact floats they are; 1/N each if not given.

    Returns
    -------
    CappedRelaxation
        weights, value, multipliers and the named outcome.

    Raises
    ------
    ValueError
        If ``cap`` is below 1 or not finite; for the rest as :func:`rrm_theory.relaxed_risk`.

    Notes
    -----
    Source: theory.md A.9. Exact; each number is rounded once (with ``nominal``, weights twice).
    Cost O(N log N), of it O(N) operations on integers.

    Examples
    --------
    >>> r = capped_relax([0.0, 1.0, 2.0, 10.0], gamma=1.5, cap=2)
    >>> r.weights, r.moved  # 10 fills 0; moving 2 to 1 would save less than 1.5
    (array([0.5 , 0.25, 0.25, 0.  ]), Fraction(1, 4))
    >>> r.value, r.outcome.name  # (0 + 0 + 1 + 2) / 4 + 1.5 / 4
    (1.125, 'MOVED')

    """
    c = loss_vector(losses)
    price, kappa = positive(gamma, "gamma"), at_least_one(cap, "cap")
    q = None if nominal is None else distribution(nominal, c.size)
    transfer = _transfer(c, q, cap=kappa, gamma=price)
    value = transfer.value(price)
    low, high = transfer.multipliers(Fraction(price) / 2)
    if value == inf:
        outcome, low, high = CappedOutcome.INFINITE, nan, nan
    else:
        outcome = _CAPPED_OUTCOMES[transfer.moved > 0, transfer.tied(price, q)]
    emptied, full = transfer.ends()
    some = slice(None) if q is None else q > 0
    pruned, filled = np.zeros(c.size, dtype=bool), np.zeros(c.size, dtype=bool)
    pruned[some], filled[some] = emptied[transfer.level_of][some], full[transfer.level_of][some]
    return CappedRelaxation(
        losses=c,
        nominal=nominal_floats(q, c.size),
        gamma=price,
        cap=kappa,
        u=transfer.displacement(q),
        weights=transfer.weights(q),
        pruned=pruned,
        filled=filled,
        moved=transfer.moved,
        value=value,
        multiplier=float(low),
        multiplier_interval=(float(low), float(high)),
        outcome=outcome,
    )


_CAPPED_OUTCOMES = {
    (False, False): CappedOutcome.UNCHANGED,
    (False, True): CappedOutcome.UNCHANGED_TIED,
    (True, False): CappedOutcome.MOVED,
    (True, True): CappedOutcome.MOVED_TIED,
}


def trimmed_risk(
    losses: ArrayLike,
    *,
    budget: float | Fraction,
    cap: float | Fraction | None = None,
    nominal: ArrayLike | None = None,
) -> TrimmedRisk:
    r"""Return ``min { sum p_i c_i : TV(p, q) <= budget } = max_gamma (R_gamma(c) - gamma budget)``.

    The largest losses lose exactly ``budget`` of mass, the last of them in part, ties or not; all
    that lies above the smallest loss if that is less. It goes to the smallest loss, or, with a cap,
    fills the smallest losses one after the other: with ``cap = 1 / (1 - budget)`` the value is the
    mean of the smallest ``(1 - budget) N`` losses.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), loss units, as in :func:`rrm_theory.relaxed_risk`.
    budget
        rho in [0, 1), total variation. A float is read as the decimal that denotes it.
    cap
        kappa >= 1, ``p_i <= cap q_i``, read like ``budget``; no cap if not given.
    nominal
        Probabilities q, shape (N,), taken as the exact floats they are; 1/N each if not given.

    Returns
    -------
    TrimmedRisk
        weights, value, the multiplier of the budget, and the named outcome.

    Raises
    ------
    ValueError
        If ``budget`` is not in [0, 1) or ``cap`` is below 1 or not finite; for the rest as
        :func:`rrm_theory.relaxed_risk`.

    Notes
    -----
    Source: theory.md A.8, A.9. Exact; each number is rounded once (with ``nominal``, weights
    twice). Cost O(N log N), of it O(N) operations on integers.

    Examples
    --------
    >>> r = trimmed_risk([0.0, 1.0, 2.0, 10.0], budget=0.375)  # 10 goes, and half of 2
    >>> r.weights, r.value, r.multiplier_interval  # 1/4 + 2/8; more would move 2 to 0
    (array([0.625, 0.25 , 0.125, 0.   ]), 0.5, (2.0, 2.0))
    >>> trimmed_risk([0.0, 1.0, 2.0, 10.0], budget=0.25, cap=Fraction(4, 3)).value  # mean of 3
    1.0

    """
    c = loss_vector(losses)
    rho = fraction_of_samples(budget, "budget")
    q = None if nominal is None else distribution(nominal, c.size)
    kappa = None if cap is None else at_least_one(cap, "cap")
    transfer = _transfer(c, q, cap=kappa, budget=rho)
    value = transfer.value(0.0)
    low, high = transfer.budget_multipliers(rho)
    if value == inf:
        outcome, low, high = TrimmedOutcome.INFINITE, nan, nan
    else:
        outcome = TrimmedOutcome.SPENT if transfer.moved == rho else TrimmedOutcome.NOT_NEEDED
    return TrimmedRisk(
        u=transfer.displacement(q),
        weights=transfer.weights(q),
        moved=transfer.moved,
        value=value,
        multiplier=float(low),
        multiplier_interval=(float(low), float(high)),
        outcome=outcome,
    )
