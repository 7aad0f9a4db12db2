r"""Optimistic Wasserstein bounds: what else than weights could move, and what weights alone reach.

Samples (w = 1, z_i) may move to (w, z) at the ground cost |w - 1| + d(z_i, z), on average `radius`
at most; the loss there is w J(z), J >= 0. On a finite support z_1..z_M, J is `support_losses` and
d(z_i, z_j) is `cost`, +inf where i cannot move to j.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import fsum, inf, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rrm_theory._checks import (
    Vector,
    finite,
    fraction_at_least_0,
    loss_vector,
    positive,
    tolerance,
)
from rrm_theory._exact import over_one_denominator

Matrix = NDArray[np.float64]

# Losses up to this and costs down to its inverse: their quotient, a multiplier, is finite.
EXTREME = 2.0**480


class TransportOutcome(Enum):
    """Whether the ball holds a distribution on the support; the value is the message."""

    OPTIMAL = "Solved."
    INFEASIBLE = (
        "The radius does not pay for moving every sample onto the support: the ball is empty and "
        "the value +inf. Put the samples themselves into the support, or raise the radius."
    )
    NOT_SOLVED = "The solver gave up; value and multiplier are NaN."


@dataclass(frozen=True, kw_only=True)
class OptimisticValue:
    """An optimistic value and the price of the budget that attains it.

    Attributes
    ----------
    value
        v_N, loss units; +inf if infeasible.
    multiplier
        An optimal multiplier of the budget, loss units per unit of cost; NaN if not optimal.
    outcome
        Whether the ball holds a distribution on the support.

    """

    value: float
    multiplier: float
    outcome: TransportOutcome


@dataclass(frozen=True, kw_only=True)
class _Line:
    """intercept + slope l, an upper bound of N times the dual function."""

    intercept: float
    slope: float


def optimistic_value(
    support_losses: ArrayLike, cost: ArrayLike, *, radius: float
) -> OptimisticValue:
    r"""Return ``max_{l >= 0} (1/N) sum_i min_j [min(l, J_j) + l d_ij] - l radius``.

    A concave, piecewise linear function of one variable: every choice of one line for each sample
    bounds it from above, and the right choice at l touches it there. We intersect the touching line
    left of the maximum with the one right of it until their intersection lies on the function.

    Parameters
    ----------
    support_losses
        J at the support points, shape (M,), in [0, 2^480], loss units.
    cost
        d_ij from sample i to support point j, shape (N, M): 0, at least 2^-480, or +inf where i
        cannot move to j.
    radius
        Budget eps >= 0: mean cost that may be spent, losing the weight of a sample costing 1.

    Returns
    -------
    OptimisticValue
        v_N, a multiplier, the named outcome.

    Raises
    ------
    ValueError
        If ``support_losses`` is empty or out of range; if ``cost`` is not a matrix with M columns,
        is out of range or NaN anywhere, or has a row of +inf; if ``radius`` is negative or not
        finite.

    Notes
    -----
    Source: theory.md B.1. Exact but for rounding. Cost O(N M) an intersection, finitely many.

    Examples
    --------
    >>> v = optimistic_value([1.0, 0.0], [[0.0, 0.1]], radius=0.05)  # half moves to the loss 0
    >>> v.value, v.multiplier
    (0.5, 10.0)

    """
    j, d, eps = _problem(support_losses, cost, radius)
    nearest = d.min(axis=1)
    if fsum(nearest.tolist()) > eps * len(d):
        return OptimisticValue(value=inf, multiplier=nan, outcome=TransportOutcome.INFEASIBLE)
    samples = len(d)
    # At 0 only lines through 0 are touched; far out only those that rise least.
    steepest = np.minimum(1 + nearest, np.where(j == 0, d, inf).min(axis=1))
    left = _Line(intercept=0.0, slope=fsum(steepest.tolist()) - eps * samples)
    if left.slope <= 0:
        return OptimisticValue(value=0.0, multiplier=0.0, outcome=TransportOutcome.OPTIMAL)
    at_nearest = np.where(d == nearest[:, None], j, inf).min(axis=1)
    right = _Line(intercept=fsum(at_nearest.tolist()), slope=fsum(nearest.tolist()) - eps * samples)
    below, above = 0.0, inf
    while True:
        meeting = (right.intercept - left.intercept) / (left.slope - right.slope)
        highest = left.intercept + left.slope * meeting
        touching = _touching(j, d, nearest, eps, meeting)
        lower = touching.intercept + touching.slope * meeting < highest
        # Rounding may keep the two lines from meeting on the function; then nothing moves any more.
        if not lower or not below < meeting < above:
            return OptimisticValue(
                value=highest / samples, multiplier=meeting, outcome=TransportOutcome.OPTIMAL
            )
        if touching.slope > 0:
            left, below = touching, meeting
        else:
            right, above = touching, meeting


def optimistic_value_lp(
    support_losses: ArrayLike, cost: ArrayLike, *, radius: float
) -> OptimisticValue:
    r"""Return ``min (1/N) sum_ij x_ij J_j`` over all transports within the budget, by HiGHS.

    x_ij in [0, 1] is the part of sample i that moves to j with its weight, y_i the part that loses
    it, at its nearest point: ``sum_j x_ij + y_i = 1`` and
    ``(1/N) (sum_ij d_ij x_ij + sum_i (1 + min_j d_ij) y_i) <= radius``.

    Parameters
    ----------
    support_losses, cost, radius
        As in :func:`optimistic_value`.

    Returns
    -------
    OptimisticValue
        v_N, the multiplier of the budget, the named outcome.

    Raises
    ------
    ValueError
        As :func:`optimistic_value`.

    Notes
    -----
    Source: theory.md B.1. To HiGHS' tolerances; N M + N variables.

    Examples
    --------
    >>> v = optimistic_value_lp([1.0, 0.0], [[0.0, 0.1]], radius=0.05)
    >>> round(v.value, 9), round(v.multiplier, 9)
    (0.5, 10.0)

    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    j, d, eps = _problem(support_losses, cost, radius)
    samples = len(d)
    i, k = np.nonzero(np.isfinite(d))
    from_sample = np.concatenate((i, np.arange(samples)))
    columns = np.arange(from_sample.size)
    answer = linprog(
        np.concatenate((j[k], np.zeros(samples))),
        A_ub=csr_array(np.concatenate((d[i, k], 1 + d.min(axis=1)))[None]),
        b_ub=[eps * samples],
        A_eq=csr_array((np.ones(columns.size), (from_sample, columns))),
        b_eq=np.ones(samples),
        method="highs",
    )
    if answer.status == 2:
        return OptimisticValue(value=inf, multiplier=nan, outcome=TransportOutcome.INFEASIBLE)
    if answer.status != 0:
        return OptimisticValue(value=nan, multiplier=nan, outcome=TransportOutcome.NOT_SOLVED)
    return OptimisticValue(
        value=answer.fun / samples,
        multiplier=-float(answer.ineqlin.marginals[0]),
        outcome=TransportOutcome.OPTIMAL,
    )


@dataclass(frozen=True, kw_only=True)
class WeightBudget:
    """The best weights within a budget, and what the budget is worth.

    Attributes
    ----------
    value
        V_eps, loss units, rounded once.
    multiplier_interval
        All optimal multipliers of the budget, (smallest, largest), loss units: minus the right and
        left derivative of the value in the radius; the largest is +inf at radius 0.

    """

    value: float
    multiplier_interval: tuple[float, float]


def weight_budget_value(losses: ArrayLike, *, radius: float | Fraction) -> WeightBudget:
    r"""Return ``V_eps = min { (1/N) sum w_i J_i : w >= 0, (1/N) sum |w_i - 1| <= eps }``.

    The mean without the largest losses: eps N samples lose their weight, the last one in part.

    Parameters
    ----------
    losses
        J >= 0, finite, shape (N,), loss units.
    radius
        eps >= 0, total weight that may change, per sample. A float is read as the decimal that
        denotes it.

    Returns
    -------
    WeightBudget
        The value and the interval of multipliers: one number unless eps N is an integer, and 0 for
        eps > 1.

    Raises
    ------
    ValueError
        If ``losses`` is empty, negative, NaN or infinite; if ``radius`` is negative or not finite.

    Notes
    -----
    Source: theory.md B.2. Exact. Cost O(N log N).

    Examples
    --------
    >>> weight_budget_value([1.0, 2.0, 5.0, 8.0], radius=0.5)  # 8 and 5 go: (1 + 2) / 4
    WeightBudget(value=0.75, multiplier_interval=(2.0, 5.0))
    >>> weight_budget_value([1.0, 2.0, 5.0, 8.0], radius=0.375)  # 8 goes and half of 5
    WeightBudget(value=1.375, multiplier_interval=(5.0, 5.0))

    """
    j = _nonnegative_losses(losses, "losses")
    removed = fraction_at_least_0(radius, "radius") * j.size
    whole, part = divmod(removed, 1)
    (*ordered, nothing), unit = over_one_denominator([*np.sort(j)[::-1].tolist(), 0.0])
    if removed > j.size:
        return WeightBudget(value=0.0, multiplier_interval=(0.0, 0.0))
    next_one = [*ordered, nothing][whole]
    last_one = ordered[whole - 1] / unit if whole else inf
    value = (sum(ordered[whole:]) - part * next_one) / (unit * j.size)
    smallest = next_one / unit
    return WeightBudget(
        value=float(value), multiplier_interval=(smallest, smallest if part else last_one)
    )


def weight_penalty_value(losses: ArrayLike, *, multiplier: float) -> float:
    r"""Return ``V(l) = min_{w >= 0} (1/N) sum [w_i J_i + l |w_i - 1|] = (1/N) sum min(J_i, l)``.

    Parameters
    ----------
    losses
        J, finite, any sign, shape (N,), loss units.
    multiplier
        Price l of a unit of weight, finite, any sign, loss units.

    Returns
    -------
    float
        The value; minus infinity if ``l < -min J``, where weights grow without end.

    Raises
    ------
    ValueError
        If ``losses`` is empty, NaN or infinite; if ``multiplier`` is not a finite number.

    Notes
    -----
    Source: ICLR paper, Proposition 3.1; theory.md B.3. Exact, rounded once. Cost O(N).

    Examples
    --------
    >>> weight_penalty_value([1.0, 2.0, 5.0, 8.0], multiplier=4.0)  # (1 + 2 + 4 + 4) / 4
    2.75

    """
    j = _finite_losses(losses, "losses")
    price = finite(multiplier, "multiplier")
    if price < -j.min():
        return -inf
    (*levels, limit), unit = over_one_denominator([*j.tolist(), price])
    return float(Fraction(sum(min(level, limit) for level in levels), unit * j.size))


def relaxed_risk_dominates(losses: ArrayLike, *, gamma: float, multiplier: float) -> bool:
    r"""Return whether ``R_gamma(c) >= V(l)``, that is ``c_min + gamma >= min(l, c_max)``.

    Parameters
    ----------
    losses
        c, finite, any sign, shape (N,), loss units.
    gamma
        Price in (0, 2^960] per unit of total variation in the convention of Eq. (2), loss units.
    multiplier
        Price l of a unit of weight, finite, loss units. Where ``l < -c_min``, V is minus infinity
        and the inequality holds.

    Returns
    -------
    bool
        The printed inequality, for these numbers; it holds for all losses >= 0 iff gamma >= l.

    Raises
    ------
    ValueError
        As :func:`weight_penalty_value` and :func:`rrm_theory.relaxed_risk`.

    Notes
    -----
    Source: ICLR paper, Section 3.4; theory.md B.5. Exact. Cost O(N).

    Examples
    --------
    >>> relaxed_risk_dominates([0.0, 10.0], gamma=2.0, multiplier=5.0)  # 1 < 2.5
    False

    """
    c = _finite_losses(losses, "losses")
    price, limit = Fraction(positive(gamma, "gamma")), Fraction(finite(multiplier, "multiplier"))
    smallest, largest = Fraction(float(c.min())), Fraction(float(c.max()))
    return limit < -smallest or smallest + price >= min(limit, largest)


def one_move_value(support_losses: ArrayLike, cost: ArrayLike, *, radius: float) -> OptimisticValue:
    r"""Return ``min (1/N) sum_i w_i J(z'_i)`` where every sample moves to one (w_i, z'_i).

    Within the budget ``(1/N) sum_i (|w_i - 1| + d(z_i, z'_i)) <= radius``. As the best transport
    splits one sample at most, ``v_N <= one_move_value <= v_N + max J / N``.

    Parameters
    ----------
    support_losses, cost, radius
        As in :func:`optimistic_value`.

    Returns
    -------
    OptimisticValue
        The value and the named outcome; there is no multiplier (NaN).

    Raises
    ------
    ValueError
        As :func:`optimistic_value`.

    Notes
    -----
    Source: ICLR paper, Proposition 3.1 as its sources have it; theory.md B.4. A mixed-integer
    program by HiGHS, to its tolerances; N M binary choices.

    Examples
    --------
    >>> one_move_value([1.0, 0.0], [[0.0, 0.1]], radius=0.05).value  # 0.1 is too far: weight 0.95
    0.95

    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, hstack

    j, d, eps = _problem(support_losses, cost, radius)
    samples = len(d)
    i, k = np.nonzero(np.isfinite(d))
    pairs = np.arange(i.size)
    by_sample = csr_array((np.ones(pairs.size), (i, pairs)), shape=(samples, pairs.size))
    one, nothing = eye_array(pairs.size), csr_array((1, pairs.size))
    # chosen is binary, kept = w_i where chosen: kept <= chosen, one choice a sample, the budget.
    answer = milp(
        np.concatenate((np.zeros(pairs.size), j[k])),
        integrality=np.repeat([1, 0], pairs.size),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(hstack([-one, one]), -inf, 0),
            LinearConstraint(hstack([by_sample, csr_array(by_sample.shape)]), 1, 1),
            LinearConstraint(
                hstack([csr_array(d[i, k][None]), nothing - np.ones((1, pairs.size))]),
                -inf,
                (eps - 1) * samples,
            ),
        ],
    )
    if answer.status == 2:
        return OptimisticValue(value=inf, multiplier=nan, outcome=TransportOutcome.INFEASIBLE)
    if answer.status != 0:
        return OptimisticValue(value=nan, multiplier=nan, outcome=TransportOutcome.NOT_SOLVED)
    return OptimisticValue(
        value=answer.fun / samples, multiplier=nan, outcome=TransportOutcome.OPTIMAL
    )


def ground_cost(
    features: ArrayLike,
    labels: ArrayLike,
    support_features: ArrayLike,
    support_labels: ArrayLike,
    *,
    label_price: float,
) -> Matrix:
    r"""Return ``d_ij = ||x_i - x_j||_2 + label_price [y_i != y_j]``, a ground cost.

    Parameters
    ----------
    features, support_features
        x, shapes (N, P) and (M, P), finite.
    labels, support_labels
        y, shapes (N,) and (M,), of any type that compares.
    label_price
        What changing the label costs, >= 0; +inf forbids it.

    Returns
    -------
    array
        Shape (N, M), nonnegative, +inf where the move is forbidden.

    Raises
    ------
    ValueError
        If shapes do not match, features are not finite, or ``label_price`` is negative or NaN.

    Notes
    -----
    Source: theory.md B. Rounded. Cost O(N M P).

    Examples
    --------
    >>> ground_cost([[0.0, 0.0]], [1], [[3.0, 4.0], [0.0, 0.0]], [1, 2], label_price=0.5)
    array([[5. , 0.5]])

    """
    from scipy.spatial.distance import cdist

    x, other = (
        _features(a, name)
        for a, name in ((features, "features"), (support_features, "support_features"))
    )
    y, other_y = np.asarray(labels), np.asarray(support_labels)
    for array, shape, name in (
        (other, (other.shape[0], x.shape[1]), "support_features"),
        (y, x.shape[:1], "labels"),
        (other_y, other.shape[:1], "support_labels"),
    ):
        if array.shape != shape:
            msg = f"{name} must have shape {shape}, got {array.shape}."
            raise ValueError(msg)
    if not label_price >= 0:
        msg = f"label_price must be at least 0, got {label_price!r}."
        raise ValueError(msg)
    distances: Matrix = cdist(x, other)
    distances[y[:, None] != other_y[None]] += label_price
    return distances


def _features(given: ArrayLike, name: str) -> Matrix:
    """Return a finite matrix."""
    x = np.asarray(given, dtype=np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        msg = f"{name} must be a matrix of finite numbers, got shape {x.shape}."
        raise ValueError(msg)
    return x


def _finite_losses(losses: ArrayLike, name: str) -> Vector:
    """Return losses without +inf."""
    j = loss_vector(losses)
    if j.max() == inf:
        msg = f"{name} must be finite, got inf at index {int(j.argmax())}."
        raise ValueError(msg)
    return j


def _nonnegative_losses(losses: ArrayLike, name: str) -> Vector:
    """Return finite losses of at least 0."""
    j = _finite_losses(losses, name)
    if j.min() < 0:
        msg = f"{name} must be nonnegative, got {j.min()} at index {int(j.argmin())}."
        raise ValueError(msg)
    return j


def _touching(j: Vector, d: Matrix, nearest: Vector, radius: float, multiplier: float) -> _Line:
    """Return a line that touches N times the dual function at a multiplier > 0."""
    values = j + multiplier * d
    k = values.argmin(axis=1)
    rows = np.arange(len(d))
    gone = multiplier * (1 + nearest) <= values[rows, k]
    intercepts = np.where(gone, 0.0, j[k])
    slopes = np.where(gone, 1 + nearest, d[rows, k])
    return _Line(intercept=fsum(intercepts.tolist()), slope=fsum(slopes.tolist()) - radius * len(d))


def _problem(
    support_losses: ArrayLike, cost: ArrayLike, radius: float
) -> tuple[Vector, Matrix, float]:
    """Return the checked arguments."""
    j = _nonnegative_losses(support_losses, "support_losses")
    if j.max() > EXTREME:
        msg = f"support_losses must be at most 2^480, got {j.max()} at index {int(j.argmax())}."
        raise ValueError(msg)
    d = np.asarray(cost, dtype=np.float64)
    if d.ndim != 2 or d.shape[1] != j.size or d.shape[0] == 0:
        msg = f"cost must have shape (N, {j.size}), got {d.shape}."
        raise ValueError(msg)
    bad = ~(d >= 0)
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        msg = f"cost must be nonnegative, got {d[row, column]} at ({row}, {column})."
        raise ValueError(msg)
    tiny = (d > 0) & (d < 1 / EXTREME)
    if tiny.any():
        row, column = np.argwhere(tiny)[0].tolist()
        msg = f"cost must be 0 or at least 2^-480, got {d[row, column]} at ({row}, {column})."
        raise ValueError(msg)
    stuck = np.isinf(d).all(axis=1)
    if stuck.any():
        msg = f"cost must have a finite entry in every row, got none in row {int(stuck.argmax())}."
        raise ValueError(msg)
    return j, d, tolerance(radius, "radius")
