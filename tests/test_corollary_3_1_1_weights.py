"""ICLR paper, Corollary 3.1.1; theory.md A.2, A.4, A.5: the canonical minimiser and its dual."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracles import cost, exact_sets, exact_value
from strategies import (
    gammas,
    losses,
    losses_and_nominal,
    losses_next_to_the_cut,
    losses_with_infinities,
)

from rrm_theory import RelaxationOutcome, relax


def exact_weights(c, gamma):
    """Return the corollary's weights in fractions."""
    n = len(c)
    cheapest, _, pruned = exact_sets(c, gamma)
    weights = [Fraction(1, n)] * n
    for i in cheapest:
        weights[i] += Fraction(len(pruned), n * len(cheapest))
    for i in pruned:
        weights[i] = Fraction(0)
    return weights


@given(losses_with_infinities(), gammas)
def test_pruned_samples_weigh_nothing(c, gamma):
    """u_i = -1/N exactly on chi = {i : c_i > c_min + gamma}."""
    r = relax(c, gamma=gamma)
    assert np.flatnonzero(r.pruned).tolist() == exact_sets(c, gamma)[2]
    assert (r.weights[r.pruned] == 0).all()
    assert (r.u[r.pruned] == -1 / len(c)).all()


@given(losses_with_infinities(), gammas)
def test_every_weight_is_the_rounded_rational(c, gamma):
    """I_min shares |chi|/N evenly; I_mid and I_big keep 1/N; each entry is rounded once."""
    r = relax(c, gamma=gamma)
    exact = exact_weights(c, gamma)
    assert r.weights.tolist() == [float(p) for p in exact]
    assert r.u.tolist() == [float(p - Fraction(1, len(c))) for p in exact]


@given(losses, gammas)
@example(np.array([0.0, 0.0, 1.0, 3.0]), 1.0)
def test_the_weights_are_optimal(c, gamma):
    """In fractions the corollary's weights attain the relaxed risk."""
    exact = exact_weights(c, gamma)
    assert sum(exact) == 1
    assert cost(c, exact, gamma) == exact_value(c, gamma)


@given(losses_and_nominal(), gammas)
def test_the_weights_are_optimal_with_a_nominal_distribution(problem, gamma):
    """With q the same sets give feasible weights whose cost is the value, up to rounding."""
    c, q = problem
    r = relax(c, gamma=gamma, nominal=q)
    assert (r.weights >= 0).all()
    assert (r.weights[r.pruned] == 0).all()
    kept = ~r.pruned & (c > c.min())
    assert (r.weights[kept] == q[kept]).all()
    # The freed mass over |I_min| is rounded; at most N roundings of numbers below 1, times 16.
    slack = Fraction(len(c) * 16, 2**52)
    weights = [Fraction(p) for p in r.weights.tolist()]
    assert abs(sum(weights) - 1) <= slack
    assert abs(cost(c, weights, gamma, q) - Fraction(r.value)) <= slack


@given(losses_next_to_the_cut())
def test_sets_are_exact_where_the_rounded_sum_is_not(problem):
    """Losses within two floats of the cut are placed as fractions place them."""
    c, gamma = problem
    assert np.flatnonzero(relax(c, gamma=gamma).pruned).tolist() == exact_sets(c, gamma)[2]


def test_the_naive_comparison_is_wrong():
    """0.1 + 0.2 rounds up, so a loss equal to the rounded sum lies above the true one."""
    c = np.array([0.1, 0.1 + 0.2])
    assert Fraction(c[1]) > Fraction(c[0]) + Fraction(0.2)
    assert not c[1] > c[0] + 0.2
    assert relax(c, gamma=0.2).pruned.tolist() == [False, True]


@given(losses, gammas)
def test_the_multiplier_closes_the_duality_gap(c, gamma):
    """(1/N) sum min(c_i, lambda + gamma/2) is the value at lambda = c_min + gamma/2."""
    r = relax(c, gamma=gamma)
    assert dual(c, Fraction(r.multiplier), gamma) == exact_value(c, gamma)


@given(losses, gammas)
def test_the_multiplier_interval_is_all_of_the_dual_optima(c, gamma):
    """Both ends are optimal; a little outside is infeasible above or worse below."""
    r = relax(c, gamma=gamma)
    low, high = map(Fraction, r.multiplier_interval)
    value, little = exact_value(c, gamma), Fraction(1, 2**20)
    assert dual(c, low, gamma) == dual(c, high, gamma) == value
    assert dual(c, low - little, gamma) < value
    # Above c_min + gamma/2 the Lagrangian is unbounded below.
    assert high == Fraction(c.min()) + Fraction(gamma) / 2


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(1e-3, 100))
@example(-4.02788653267171, 1.1472328715942135, 0.08139080171612577)
def test_the_multiplier_interval_is_rounded_once(first, second, gamma):
    """Each end is the float nearest to min(c_max, c_min + gamma) - gamma/2 and c_min + gamma/2."""
    low, high = sorted(map(Fraction, (first, second)))
    half = Fraction(gamma) / 2
    expected = float(min(high, low + 2 * half) - half), float(low + half)
    assert relax([first, second], gamma=gamma).multiplier_interval == expected


def test_the_multiplier_interval_looks_at_samples_with_mass():
    """The largest loss that counts is that of a sample with q_i > 0."""
    r = relax([0.0, 1.0, 9.0], gamma=4.0, nominal=[0.5, 0.5, 0.0])
    assert r.multiplier_interval == (-1.0, 2.0)


def dual(c, multiplier, gamma):
    """Return the dual objective, exactly."""
    clip = multiplier + Fraction(gamma) / 2
    return sum(min(Fraction(x), clip) for x in c.tolist()) / len(c)


@pytest.mark.parametrize(
    ("c", "gamma", "outcome"),
    [
        ([0.0, 0.0, 0.5], 1.0, RelaxationOutcome.UNCHANGED),
        ([0.0, 1.0], 1.0, RelaxationOutcome.UNCHANGED_TIED),
        ([0.0, 0.5, 3.0], 1.0, RelaxationOutcome.MOVED),
        ([0.0, 0.0, 3.0], 1.0, RelaxationOutcome.MOVED_TIED),
        ([0.0, 1.0, 3.0], 1.0, RelaxationOutcome.MOVED_TIED),
    ],
)
def test_the_outcome_names_the_case(c, gamma, outcome):
    """Unique iff nothing lies at the cut, and nothing moves or the minimum is alone (A.4)."""
    assert relax(c, gamma=gamma).outcome is outcome


def test_a_sample_without_mass_neither_moves_nor_ties():
    """With q_i = 0 the loss of i, unless cheapest, is without consequence."""
    q = [0.5, 0.5, 0.0]
    assert relax([0.0, 0.5, 9.0], gamma=1.0, nominal=q).outcome is RelaxationOutcome.UNCHANGED
    assert relax([0.0, 0.5, 1.0], gamma=1.0, nominal=q).outcome is RelaxationOutcome.UNCHANGED
