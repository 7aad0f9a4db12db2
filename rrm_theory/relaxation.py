r"""The weight problem of Rockafellian relaxation, solved in closed form.

    R_gamma(c) = min_u  sum_i (q_i + u_i) c_i + (gamma / 2) ||u||_1    s.t.  sum u = 0,  u >= -q

c is `losses`, gamma is `gamma`, u is `u`, q is `nominal` (1/N unless given), p = q + u is
`weights`; chi = {i : c_i > c_min + gamma} is `pruned`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rrm_theory._checks import (
    Mask,
    Vector,
    distribution,
    fraction_of_samples,
    loss_vector,
    nominal_floats,
    positive,
)
from rrm_theory._exact import exact_cut, nominal_masses, samples_to_prune
from rrm_theory.certificate import Certificate, certify


class RelaxationOutcome(Enum):
    """What the weight problem's set of minimisers looks like; the value is the message."""

    UNCHANGED = "No loss reaches c_min + gamma: the nominal weights are the only minimiser."
    UNCHANGED_TIED = (
        "No loss exceeds c_min + gamma but some equal it: the nominal weights are optimal, "
        "and so is moving those samples' mass to a cheapest one."
    )
    MOVED = "Mass moves, and the weights are the only minimiser."
    MOVED_TIED = (
        "Mass moves, and the weights are one minimiser of many: several samples are cheapest, "
        "or some losses equal c_min + gamma."
    )


class ContaminationOutcome(Enum):
    """Whether a contamination has a level to cut at; the value says what it means."""

    LEVEL = "The level exists and lies above the smallest loss."
    NOTHING_TO_PRUNE = "Contamination 0 prunes no finite loss: gamma = c_max - c_min."
    GAMMA_ZERO = (
        "The level is the smallest loss itself, so gamma = 0: outside Theorem 3.1. Everything "
        "above the minimum would be pruned; ask for less contamination or set gamma > 0."
    )
    NO_LEVEL = (
        "No level exists: more than (1 - contamination) N samples tie at the smallest loss. "
        "Ask for less contamination, or set gamma."
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Relaxation:
    """The canonical minimiser of the weight problem (Corollary 3.1.1), with its value and dual.

    Attributes
    ----------
    losses, nominal, gamma
        The problem as solved, in float64; ``losses`` and ``nominal`` have shape (N,).
    uniform
        Whether ``nominal`` stands for 1/N each, exactly; its floats are then roundings of that.
    u
        Displacement, shape (N,), probability: ``-nominal`` on ``pruned``, the freed mass spread
        evenly over the cheapest samples, 0 elsewhere.
    weights
        ``nominal + u``, shape (N,), probability.
    pruned
        The set chi, bool, shape (N,), decided exactly.
    value
        R_gamma(c), loss units.
    multiplier
        c_min + gamma / 2, an optimal multiplier of ``sum u = 0``, loss units.
    multiplier_interval
        All optimal multipliers, (smallest, largest), loss units, each rounded once.
    outcome
        Whether mass moved, and whether another minimiser exists.

    """

    losses: Vector
    nominal: Vector
    uniform: bool
    gamma: float
    u: Vector
    weights: Vector
    pruned: Mask
    value: float
    multiplier: float
    multiplier_interval: tuple[float, float]
    outcome: RelaxationOutcome

    def certificate(self) -> Certificate:
        """Return the exact proof that ``u`` is optimal; see :func:`rrm_theory.certify`.

        Examples
        --------
        >>> relax([0.0, 1.0, 9.0], gamma=2.0).certificate().is_optimal
        True

        """
        nominal = None if self.uniform else self.nominal
        return certify(self.u, self.losses, gamma=self.gamma, nominal=nominal)


def relaxed_risk(losses: ArrayLike, *, gamma: float, nominal: ArrayLike | None = None) -> float:
    r"""Return the relaxed risk ``R_gamma(c) = (1/N) sum_i min(c_i, c_min + gamma)``.

    Moving mass m from sample i to a cheapest one saves ``m (c_i - c_min)`` and costs ``gamma m``,
    half of it where the mass leaves and half where it lands; so every loss is clipped at the cut.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), any sign, loss units (nats for cross-entropy), at most
        2^960 in absolute value (integers 2^53); +inf is allowed unless all are. Integers and all
        float types up to float64 are taken exactly.
    gamma
        Price in (0, 2^960] per unit of total variation in the convention of Eq. (2), loss units.
    nominal
        Probabilities q, shape (N,); 1/N each if not given. The value is then
        ``sum_i q_i min(c_i, c_min + gamma)``.

    Returns
    -------
    float
        Relaxed risk, loss units; never above ``mean(losses)`` by more than rounding.

    Raises
    ------
    ValueError
        If ``losses`` is empty, not a vector of real numbers in the range above, NaN or -inf
        anywhere or +inf everywhere; if ``gamma`` is not in its range, or a number that float64
        cannot hold; if ``nominal`` is not a probability vector of the same length.

    Notes
    -----
    Source: ICLR paper, Eq. (2); theory.md A.1. Exact comparisons; without ``nominal`` the value is
    within 2 units in the last place. Cost O(N) time and memory.

    Examples
    --------
    >>> relaxed_risk([0.0, 1.0, 10.0], gamma=2.0)  # (0 + 1 + 2) / 3
    1.0

    """
    c = loss_vector(losses)
    price = positive(gamma, "gamma")
    minimum = float(c.min())
    cut, _ = exact_cut(minimum, price)
    pruned = c > cut
    if nominal is None:
        return _clipped_mean(c, pruned, minimum, price)
    q = distribution(nominal, c.size)
    return math.fsum(q * np.where(pruned, minimum + price, c))


def relax(losses: ArrayLike, *, gamma: float, nominal: ArrayLike | None = None) -> Relaxation:
    r"""Return the minimiser with ``u = -1/N`` on chi, ``|chi| / (N |I_min|)`` on I_min, else 0.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), loss units, as in :func:`relaxed_risk`.
    gamma
        Price in (0, 2^960] per unit of total variation in the convention of Eq. (2), loss units.
    nominal
        Probabilities q, shape (N,); 1/N each if not given. Freed mass is spread evenly over the
        cheapest samples whatever q is.

    Returns
    -------
    Relaxation
        u, weights, pruned, value, multiplier and the named outcome.

    Raises
    ------
    ValueError
        As :func:`relaxed_risk`.

    Notes
    -----
    Source: ICLR paper, Corollary 3.1.1; theory.md A.2 (dual), A.4 (outcome), A.5. The sets are
    exact; without ``nominal`` each weight is the correctly rounded rational. Cost O(N).

    Examples
    --------
    >>> r = relax([0.0, 1.0, 10.0, 20.0], gamma=2.0)
    >>> r.weights  # two samples leave, half of the mass lands on the cheapest one
    array([0.75, 0.25, 0.  , 0.  ])
    >>> r.value, r.multiplier, r.outcome.name  # (0 + 1 + 2 + 2) / 4, and 0 + 2 / 2
    (1.25, 1.0, 'MOVED')

    """
    c = loss_vector(losses)
    price = positive(gamma, "gamma")
    n = c.size
    minimum = float(c.min())
    cut, attained = exact_cut(minimum, price)
    pruned = c > cut
    cheapest = c == minimum
    m, t = int(cheapest.sum()), int(pruned.sum())
    if nominal is None:
        q = nominal_floats(None, n)
        # Quotients of integers are rounded once; summing floats would round at every step.
        gain, heavy = t / (n * m), (m + t) / (n * m)
        u = np.where(pruned, -q, np.where(cheapest, gain, 0.0))
        weights = np.where(pruned, 0.0, np.where(cheapest, heavy, q))
        value = _clipped_mean(c, pruned, minimum, price)
    else:
        q = distribution(nominal, n)
        u = np.where(pruned, -q, np.where(cheapest, math.fsum(q[pruned]) / m, 0.0))
        weights = q + u
        value = math.fsum(q * np.where(pruned, minimum + price, c))
    # A sample without mass has none to move, so it creates neither movement nor a tie.
    moved = bool((pruned & (q > 0)).any())
    tied_at_cut = attained and bool(((c == cut) & (q > 0)).any())
    return Relaxation(
        losses=c,
        nominal=q,
        uniform=nominal is None,
        gamma=price,
        u=u,
        weights=weights,
        pruned=pruned,
        value=value,
        multiplier=minimum + price / 2,
        multiplier_interval=_multiplier_interval(float(c[q > 0].max()), minimum, price),
        outcome=_outcome(moved=moved, tied_at_cut=tied_at_cut, tied_at_minimum=m > 1),
    )


def _multiplier_interval(maximum: float, minimum: float, gamma: float) -> tuple[float, float]:
    """Return [min(c_max, c_min + gamma) - gamma/2, c_min + gamma/2], each end rounded once."""
    half = Fraction(gamma) / 2
    high = Fraction(minimum) + half
    low = high if maximum == math.inf else min(Fraction(maximum) - half, high)
    return float(low), float(high)


def _outcome(*, moved: bool, tied_at_cut: bool, tied_at_minimum: bool) -> RelaxationOutcome:
    """Return the case of theory.md A.4 that decides uniqueness."""
    if moved:
        tied = tied_at_cut or tied_at_minimum
        return RelaxationOutcome.MOVED_TIED if tied else RelaxationOutcome.MOVED
    return RelaxationOutcome.UNCHANGED_TIED if tied_at_cut else RelaxationOutcome.UNCHANGED


def _clipped_mean(c: Vector, pruned: Mask, minimum: float, gamma: float) -> float:
    """Return the mean of min(c_i, minimum + gamma), the sum rounded once and the quotient once."""
    cut = Fraction(minimum) + Fraction(gamma)
    nearest = float(cut)
    rounding = float((cut - Fraction(nearest)) * int(pruned.sum()))
    total = math.fsum([*np.where(pruned, nearest, c).tolist(), rounding])
    return total / c.size


@dataclass(frozen=True, kw_only=True, eq=False)
class ContaminationGamma:
    """The price that prunes at least a given fraction of the samples.

    Attributes
    ----------
    gamma
        Smallest float64 with ``c_min + gamma >= level``, loss units; NaN if no level exists.
    level
        The observed loss to cut at, loss units; NaN if none exists. Cutting at the level is
        exact; ``gamma`` reproduces it unless two losses are closer than its rounding.
    pruned_fraction
        Fraction of samples whose loss exceeds ``level``, exact; 0 if no level exists.
    outcome
        Which case occurred.

    """

    gamma: float
    level: float
    pruned_fraction: Fraction
    outcome: ContaminationOutcome


def contamination_gamma(losses: ArrayLike, contamination: float | Fraction) -> ContaminationGamma:
    r"""Return ``gamma = l - c_min`` for ``l = max{c_i : #{j : c_j > c_i} / N >= C'}``.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), loss units; +inf is allowed unless all are, and is never
        a level.
    contamination
        C' in [0, 1), the estimated fraction of wrong labels. A float is read as the decimal that
        denotes it (0.4 is 2/5); a Fraction is taken as it is.

    Returns
    -------
    ContaminationGamma
        gamma, level, the fraction really pruned, and the outcome. With ties more than C' can be
        pruned: half the losses 0, half 1 and C' = 0.1 prune one half.

    Raises
    ------
    ValueError
        If ``contamination`` is not in [0, 1); for the losses as :func:`relaxed_risk`.

    Notes
    -----
    Source: ICLR paper, Section 3.5.1; its edge cases theory.md A.7. Exact. Cost O(N) expected.

    Examples
    --------
    >>> r = contamination_gamma([1.0, 2.0, 3.0, 4.0, 5.0], 0.4)  # 4 and 5 are to go
    >>> r.level, r.gamma, r.pruned_fraction, r.outcome.name
    (3.0, 2.0, Fraction(2, 5), 'LEVEL')

    """
    c = loss_vector(losses)
    k = samples_to_prune(fraction_of_samples(contamination, "contamination"), c.size)
    finite = c[c < np.inf]
    # The k-th largest loss must be pruned, so the level is the largest loss strictly below it.
    below = finite if k == 0 else finite[finite < np.partition(c, c.size - k)[c.size - k]]
    if below.size == 0:
        return ContaminationGamma(
            gamma=math.nan,
            level=math.nan,
            pruned_fraction=Fraction(0),
            outcome=ContaminationOutcome.NO_LEVEL,
        )
    level, minimum = float(below.max()), float(c.min())
    if k == 0:
        outcome = ContaminationOutcome.NOTHING_TO_PRUNE
    elif level == minimum:
        outcome = ContaminationOutcome.GAMMA_ZERO
    else:
        outcome = ContaminationOutcome.LEVEL
    return ContaminationGamma(
        gamma=_difference_rounded_up(level, minimum),
        level=level,
        pruned_fraction=Fraction(int((c > level).sum()), c.size),
        outcome=outcome,
    )


def _difference_rounded_up(level: float, minimum: float) -> float:
    """Return the smallest float64 >= level - minimum; rounding down would prune the level."""
    difference = level - minimum
    if Fraction(difference) < Fraction(level) - Fraction(minimum):
        return math.nextafter(difference, math.inf)
    return difference


@dataclass(frozen=True, kw_only=True, eq=False)
class GammaPath:
    """gamma -> R_gamma(c), piecewise linear, concave, nondecreasing; call it at any gamma > 0.

    Attributes
    ----------
    levels
        The distinct finite losses in increasing order, shape (B,), loss units, exact.
    breaks
        ``levels - c_min``, shape (B,), loss units, rounded to float64; the first is 0.
    values
        R at each break, shape (B,), loss units; the first is the limit c_min at gamma = 0.
    pruned_counts
        |chi| for gamma in [breaks[j], breaks[j + 1]), shape (B,), exact.
    pruned_masses
        q(chi) there, B integers counted in ``1 / unit``, exact; without ``nominal`` the counts.
    unit
        What a probability of 1 counts; without ``nominal`` N, +inf losses included.

    """

    levels: Vector
    breaks: Vector
    values: Vector
    pruned_counts: NDArray[np.int64]
    pruned_masses: list[int]
    unit: int

    def __call__(self, gamma: float) -> float:
        """Return R_gamma(c) in O(log B), within ``N eps (|c_min| + gamma + max finite |c|)``."""
        price = positive(gamma, "gamma")
        j, _ = self._segment(price)
        cut = float(self.levels[0]) + price
        excess = cut - float(self.levels[j])
        return float(self.values[j]) + self.pruned_masses[j] / self.unit * excess

    def derivatives(self, gamma: float) -> tuple[Fraction, Fraction]:
        """Return (left, right) derivative at gamma: q(chi) + q(I_big) and q(chi), exact."""
        j, at_break = self._segment(positive(gamma, "gamma"))
        right = self.pruned_masses[j]
        left = self.pruned_masses[j - 1] if at_break else right
        return Fraction(left, self.unit), Fraction(right, self.unit)

    def _segment(self, gamma: float) -> tuple[int, bool]:
        """Return the last level not above c_min + gamma, and whether it equals it; exact."""
        cut, attained = exact_cut(float(self.levels[0]), gamma)
        j = int(np.searchsorted(self.levels, cut, side="right")) - 1
        return j, attained and float(self.levels[j]) == cut


def gamma_path(losses: ArrayLike, *, nominal: ArrayLike | None = None) -> GammaPath:
    r"""Return ``gamma -> R_gamma(c)``, whose breaks are ``c_i - c_min`` and slopes ``|chi| / N``.

    Parameters
    ----------
    losses
        Per-sample losses c, shape (N,), any sign, loss units; +inf is allowed unless all are.
    nominal
        Probabilities q, shape (N,), taken as the exact floats they are; 1/N each if not given. The
        slopes are then ``q(chi)``, the mass of chi.

    Returns
    -------
    GammaPath
        Breaks, values, pruned counts; callable at any gamma > 0.

    Raises
    ------
    ValueError
        If ``losses`` is empty, not a vector, NaN or -inf anywhere or +inf everywhere; if
        ``nominal`` is not a probability vector of the same length.

    Notes
    -----
    Source: theory.md A.8. Counts and masses exact; values within ``N eps`` times the largest finite
    |c|, where nothing underflows. Cost O(N log N).

    Examples
    --------
    >>> path = gamma_path([0.0, 1.0, 1.0, 4.0])
    >>> path.breaks, path.values, path.pruned_counts  # 3/4 up to 1, then 1/4 up to 4
    (array([0., 1., 4.]), array([0.  , 0.75, 1.5 ]), array([3, 1, 0]))
    >>> path(2.0), path.derivatives(1.0)
    (1.0, (Fraction(3, 4), Fraction(1, 4)))

    """
    c = loss_vector(losses)
    q = None if nominal is None else distribution(nominal, c.size).tolist()
    levels, level_of, counts = np.unique(c, return_inverse=True, return_counts=True)
    pruned = c.size - np.cumsum(counts)
    masses, unit = nominal_masses(q, c.size)
    by_level = [0] * levels.size
    for level, mass in zip(level_of.tolist(), masses, strict=True):
        by_level[level] += mass
    total = sum(by_level)
    above = [total - below for below in accumulate(by_level)]
    finite = int(np.isfinite(levels).sum())
    levels, pruned, above = levels[:finite], pruned[:finite], above[:finite]
    rises = np.array([mass / unit for mass in above[:-1]]) * np.diff(levels)
    values = total / unit * levels[0] + np.concatenate(([0.0], np.cumsum(rises)))
    return GammaPath(
        levels=levels,
        breaks=levels - levels[0],
        values=values,
        pruned_counts=pruned.astype(np.int64),
        pruned_masses=above,
        unit=unit,
    )


def gamma_from_l1_penalty(theta: float) -> float:
    """Return ``gamma = 2 theta``, for which ``theta ||u||_1`` is Eq. (2)'s ``(gamma / 2) ||u||_1``.

    The earlier paper, Algorithm 3 of the ICLR paper and the authors' program price without the
    half, so they cut at ``c_min + 2 theta``.

    Parameters
    ----------
    theta
        Price > 0 per unit of the L1 norm, loss units.

    Returns
    -------
    float
        The price in the convention of Eq. (2), loss units.

    Raises
    ------
    ValueError
        If ``theta`` is not positive and finite.

    Notes
    -----
    Source: ICLR paper, Algorithm 3 against Eq. (2); theory.md A.6. Exact. Cost O(1).

    Examples
    --------
    >>> gamma_from_l1_penalty(0.4)
    0.8

    """
    return 2 * positive(theta, "theta")
