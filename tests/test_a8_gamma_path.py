"""theory.md A.8: gamma -> R_gamma(c) is concave, nondecreasing, piecewise linear."""

from fractions import Fraction

import numpy as np
from hypothesis import example, given
from oracles import exact_sets, exact_value
from strategies import (
    gammas,
    losses,
    losses_next_to_the_cut,
    losses_with_infinities,
    tied_problems_and_nominal,
)

from rrm_theory import gamma_path


def tolerance(c, gamma):
    """N eps (|c_min| + gamma + max finite |c|), the documented error."""
    return len(c) * 2.0**-52 * (abs(c.min()) + gamma + np.abs(c[c < np.inf]).max())


@given(losses_with_infinities(), gammas)
@example(np.array([0.0, 1.0, 1.0, 4.0]), 1.0)  # at a break
@example(np.array([0.0, 1.0, 1.0, 4.0]), 8.0)  # beyond the last
def test_the_path_is_the_relaxed_risk(c, gamma):
    """The path's value at any gamma is R_gamma(c)."""
    assert abs(gamma_path(c)(gamma) - exact_value(c, gamma)) <= tolerance(c, gamma)


@given(losses_with_infinities(), gammas)
@example(np.array([0.0, 1.0, 1.0, 4.0]), 1.0)
def test_the_derivatives_count_samples(c, gamma):
    """Right derivative |chi|/N, left (|chi| + |I_big|)/N, exactly."""
    _, boundary, pruned = exact_sets(c, gamma)
    n = len(c)
    expected = Fraction(len(pruned) + len(boundary), n), Fraction(len(pruned), n)
    assert gamma_path(c).derivatives(gamma) == expected


@given(losses_next_to_the_cut())
def test_the_derivatives_are_exact_next_to_a_break(problem):
    """Also where c_min + gamma is no float."""
    c, gamma = problem
    _, boundary, pruned = exact_sets(c, gamma)
    n = len(c)
    expected = Fraction(len(pruned) + len(boundary), n), Fraction(len(pruned), n)
    assert gamma_path(c).derivatives(gamma) == expected


@given(tied_problems_and_nominal())
@example((np.array([0.0, 1.0, 4.0]), 1.0, np.array([0.0, 0.5, 0.5])))
def test_the_path_with_a_nominal_distribution(problem):
    """Value, and derivatives q(chi) + q(I_big) and q(chi), exactly."""
    c, gamma, q = problem
    path = gamma_path(c, nominal=q)
    assert abs(path(gamma) - exact_value(c, gamma, q)) <= tolerance(c, gamma)
    _, boundary, pruned = exact_sets(c, gamma)
    right = sum((Fraction(q[i]) for i in pruned), Fraction(0))
    left = right + sum(Fraction(q[i]) for i in boundary)
    assert path.derivatives(gamma) == (left, right)


@given(losses_with_infinities())
def test_the_breaks_are_the_distinct_differences(c):
    """Breaks at finite c_i - c_min, from 0 to the largest; eighths are exact."""
    path = gamma_path(c)
    assert path.breaks.tolist() == sorted({x - c.min() for x in c.tolist() if x < np.inf})
    assert path.values[0] == c.min()
    assert path.pruned_counts.tolist() == [int((c > level).sum()) for level in path.levels]


@given(losses)
def test_the_path_is_concave_and_nondecreasing(c):
    """Slopes are nonnegative and decrease strictly from break to break."""
    counts = gamma_path(c).pruned_counts
    assert (counts >= 0).all()
    assert (np.diff(counts) < 0).all()
