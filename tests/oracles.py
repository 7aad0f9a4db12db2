"""Independent answers: the weight problem as a linear program, and from its definition.

Nothing here shares code with rrm_theory.
"""

from fractions import Fraction

import numpy as np
from scipy.optimize import linprog


def linear_program(losses, gamma, nominal=None, cap=None):
    """Return (value, weights) of Eq. (2) by HiGHS, capped or not; +inf losses must not occur.

    Variables are (p, t) with t >= |p - q|; p sums to 1 and is at most cap q.
    """
    n = len(losses)
    q = np.full(n, 1 / n) if nominal is None else np.asarray(nominal)
    eye = np.eye(n)
    answer = linprog(
        np.r_[losses, np.full(n, gamma / 2)],
        A_ub=np.block([[eye, -eye], [-eye, -eye]]),
        b_ub=np.r_[q, -q],
        A_eq=np.r_[np.ones(n), np.zeros(n)][None],
        b_eq=[1.0],
        bounds=[(0, cap and cap * x) for x in q] + [(0, None)] * n,
        method="highs",
    )
    assert answer.status == 0, answer.message
    return answer.fun, answer.x[:n]


def cost(losses, weights, gamma, nominal=None):
    """Return the objective of Eq. (2) at the weights, exactly; inf * 0 counts as 0."""
    n = len(losses)
    q = [Fraction(1, n)] * n if nominal is None else [Fraction(float(x)) for x in nominal]
    expectation = sum(p * Fraction(c) for p, c in zip(weights, losses, strict=True) if p)
    moved = sum(abs(p - x) for p, x in zip(weights, q, strict=True))
    return expectation + Fraction(gamma) / 2 * moved


def exact_sets(losses, gamma):
    """Return (cheapest, boundary, pruned) as lists of indices, decided in fractions."""
    finite = [Fraction(float(x)) if x < np.inf else None for x in losses]
    minimum = min(x for x in finite if x is not None)
    cut = minimum + Fraction(gamma)
    cheapest = [i for i, x in enumerate(finite) if x == minimum]
    boundary = [i for i, x in enumerate(finite) if x == cut]
    pruned = [i for i, x in enumerate(finite) if x is None or x > cut]
    return cheapest, boundary, pruned


def exact_value(losses, gamma, nominal=None):
    """Return sum_i q_i min(c_i, c_min + gamma) as a fraction."""
    n = len(losses)
    q = [Fraction(1, n)] * n if nominal is None else [Fraction(float(x)) for x in nominal]
    _, _, pruned = exact_sets(losses, gamma)
    minimum = min(Fraction(float(x)) for x in losses if x < np.inf)
    cut = minimum + Fraction(gamma)
    gone = set(pruned)
    return sum(
        (q[i] * (cut if i in gone else Fraction(float(x))) for i, x in enumerate(losses)),
        Fraction(0),
    )


def exact_level(losses, contamination):
    """Return max{c_i finite : #{j : c_j > c_i} / N >= C'} by trying all, or None."""
    n = len(losses)
    admissible = [
        x for x in losses if x < np.inf and Fraction(sum(y > x for y in losses), n) >= contamination
    ]
    return max(admissible, default=None)
