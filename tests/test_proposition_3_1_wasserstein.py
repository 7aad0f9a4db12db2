"""ICLR paper, Proposition 3.1; theory.md B.1, B.2, B.3, B.4, B.5: optimistic Wasserstein bounds."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from oracles import exact_value
from scipy.optimize import linprog
from strategies import eighths, gammas, losses

from rrm_theory.wasserstein import (
    TransportOutcome,
    ground_cost,
    one_move_value,
    optimistic_value,
    optimistic_value_lp,
    relaxed_risk_dominates,
    weight_budget_value,
    weight_penalty_value,
)

nonnegative = st.lists(st.integers(0, 32).map(lambda k: k / 8), min_size=1, max_size=8).map(
    np.array
)
radii = st.sampled_from([0.0, 100.0]) | st.integers(0, 24).map(lambda k: k / 8) | st.floats(0, 2)


@st.composite
def transports(draw):
    """(support losses, cost): up to 6 samples and points, ties, moves that are forbidden."""
    n, m = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    thousandths = st.integers(0, 2000).map(lambda k: k / 1000)
    entry = st.integers(0, 8).map(lambda k: k / 8) | thousandths | st.just(math.inf)
    cost = np.array(draw(st.lists(entry, min_size=n * m, max_size=n * m))).reshape(n, m)
    for i in range(n):
        cost[i, draw(st.integers(0, m - 1))] = draw(st.sampled_from([0.0, 0.0, 0.5]))
    j = np.array(draw(st.lists(st.integers(0, 8).map(lambda k: k / 8), min_size=m, max_size=m)))
    return j, cost


@given(transports(), radii)
@example((np.array([1.0, 0.0]), np.array([[0.0, 0.1]])), 0.05)
@example((np.array([1.0]), np.array([[0.5]])), 0.5)  # exactly enough to get there
def test_the_dual_is_the_transport_program(problem, radius):
    """One variable against N M of them, to 1e-9; the multiplier is optimal in the dual."""
    j, cost = problem
    ours, program = (
        optimistic_value(j, cost, radius=radius),
        optimistic_value_lp(j, cost, radius=radius),
    )
    short = np.mean(cost.min(axis=1)) - radius
    assume(short == 0 or abs(short) > 1e-6)  # HiGHS cannot tell a budget that is 1e-9 short
    assert ours.outcome is program.outcome
    if ours.outcome is TransportOutcome.OPTIMAL:
        assert ours.value == pytest.approx(program.value, rel=1e-9, abs=1e-9)
        price, movable = ours.multiplier, np.isfinite(cost)
        lines = np.minimum(price, j) + price * np.where(movable, cost, 0)
        dual = np.where(movable, lines, math.inf).min(axis=1).mean() - price * radius
        assert dual == pytest.approx(ours.value, rel=1e-9, abs=1e-9)


@given(nonnegative, st.integers(0, 40).map(lambda k: Fraction(k, 32)))
def test_weights_alone_are_transport_without_moves(j, radius):
    """d = inf off the diagonal: v_N = V_eps, so kappa = 0 (B.4)."""
    cost = np.full((len(j), len(j)), math.inf)
    np.fill_diagonal(cost, 0.0)
    v = optimistic_value(j, cost, radius=float(radius))
    assert v.value == pytest.approx(weight_budget_value(j, radius=radius).value, abs=1e-13)


@given(nonnegative, st.integers(0, 40).map(lambda k: Fraction(k, 32)))
def test_the_budget_form_is_the_program(j, radius):
    """Variables (w, t), t >= |w - 1|, by HiGHS."""
    n = len(j)
    eye = np.eye(n)
    answer = linprog(
        np.r_[j, np.zeros(n)] / n,
        A_ub=np.block([[eye, -eye], [-eye, -eye], [np.zeros(n), np.ones(n) / n]]),
        b_ub=np.r_[np.ones(n), -np.ones(n), float(radius)],
    )
    assert weight_budget_value(j, radius=radius).value == pytest.approx(answer.fun, abs=1e-7)


@given(nonnegative, st.integers(0, 40).map(lambda k: Fraction(k, 32)))
@example(np.array([1.0, 2.0]), Fraction(1))
def test_the_budget_s_multipliers_are_minus_the_derivatives(j, radius):
    """To the right and left, exactly, a millionth away."""
    little = Fraction(1, 10**6)
    low, high = weight_budget_value(j, radius=radius).multiplier_interval
    assert Fraction(low) == (removed(j, radius) - removed(j, radius + little)) / little
    if radius > 0:
        assert Fraction(high) == (removed(j, radius - little) - removed(j, radius)) / little
    else:
        assert high == math.inf


def removed(j, radius):
    """Return the mean without the largest radius N losses, in fractions."""
    left, total = radius * len(j), Fraction(0)
    for x in sorted(map(Fraction, j.tolist()), reverse=True):
        gone = min(left, 1)
        left -= gone
        total += (1 - gone) * x
    return total / len(j)


@given(nonnegative, st.integers(0, 31).map(lambda k: Fraction(k, 32)))
def test_the_penalised_form_exceeds_the_budget_form(j, radius):
    """V(l) = V_eps + l eps at every optimal multiplier l: the constant the printed proof drops."""
    v = weight_budget_value(j, radius=radius)
    for price in v.multiplier_interval:
        if price < math.inf:
            expected = removed(j, radius) + Fraction(price) * radius
            assert weight_penalty_value(j, multiplier=price) == float(expected)


@given(losses, st.integers(-80, 80).map(lambda k: k / 8))
def test_the_penalised_form_is_its_definition(c, price):
    """min over w in {0, 1, many}: a clipped mean, or minus infinity where growing pays."""
    grows = any(Fraction(x) + Fraction(price) < 0 for x in c.tolist())
    value = weight_penalty_value(c, multiplier=price)
    if grows:
        assert value == -math.inf
    else:
        exact = sum(min(Fraction(x), Fraction(price)) for x in c.tolist()) / len(c)
        assert value == float(exact)


@given(losses, gammas, eighths)
@example(np.array([0.0, 10.0]), 2.0, 5.0)  # 1 < 2.5: the printed inequality is false
@example(np.array([0.0, 10.0]), 5.0, 5.0)  # both clip at 5
@example(np.array([-1.0, 10.0]), 0.5, 1.0)  # l = -c_min, where V is finite yet
def test_when_relaxation_is_above_the_penalised_form(c, gamma, price):
    """Exactly when c_min + gamma >= min(l, c_max), or V is minus infinity."""
    value = weight_penalty_value(c, multiplier=price)
    exact = sum(min(Fraction(x), Fraction(price)) for x in c.tolist()) / len(c)
    expected = value == -math.inf or exact_value(c, gamma) >= exact
    assert relaxed_risk_dominates(c, gamma=gamma, multiplier=price) is expected


@given(transports(), radii)
def test_one_move_a_sample_costs_at_most_one_sample_more(problem, radius):
    """0 <= one_move_value - v_N <= max J / N."""
    j, cost = problem
    v, single = optimistic_value(j, cost, radius=radius), one_move_value(j, cost, radius=radius)
    short = np.mean(cost.min(axis=1)) - radius
    assume(short == 0 or abs(short) > 1e-6)
    assert v.outcome is single.outcome
    if v.outcome is TransportOutcome.OPTIMAL:
        assert -1e-7 <= single.value - v.value <= j.max() / len(cost) + 1e-7


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_the_one_move_bound_is_attained_within_a_factor_2(n):
    """J = 1, a loss 0 at distance 1: half of one sample's move pays for half of its loss."""
    j, cost = np.array([1.0, 0.0]), np.tile([0.0, 0.5], (n, 1))
    radius = 0.49 / n
    gap = (
        one_move_value(j, cost, radius=radius).value
        - optimistic_value(j, cost, radius=radius).value
    )
    assert gap >= 1 / (2 * n) - 0.02 / n


def test_moving_labels_beats_weights_for_every_n():
    """J = 1 on every sample, a loss 0 at distance 0.1, eps = 0.2: v_N = 0 and V_eps = 0.8."""
    for n in (1, 10, 100):
        j, cost = np.array([1.0, 0.0]), np.tile([0.0, 0.1], (n, 1))
        assert optimistic_value(j, cost, radius=0.2).value == 0
        assert weight_budget_value(np.ones(n), radius=0.2).value == 0.8


def test_a_radius_that_does_not_reach_the_support():
    """Samples half a unit away, a quarter to spend: an empty ball, by all three."""
    for solve in (optimistic_value, optimistic_value_lp, one_move_value):
        v = solve([1.0], [[0.5]], radius=0.25)
        assert (v.value, v.outcome) == (math.inf, TransportOutcome.INFEASIBLE)


def test_the_ground_cost_is_distance_plus_the_price_of_a_label():
    """3-4-5, with the same and with another label; a forbidden change is infinite."""
    x, other = [[0.0, 0.0], [3.0, 4.0]], [[3.0, 4.0]]
    assert ground_cost(x, ["a", "b"], other, ["b"], label_price=0.5).tolist() == [[5.5], [0.0]]
    assert ground_cost(x, [0, 1], other, [1], label_price=math.inf).tolist() == [[math.inf], [0.0]]
    assert ground_cost(x, [0, 1], other, [1], label_price=0.0).tolist() == [[5.0], [0.0]]


def test_the_range_of_losses_and_costs_is_closed():
    """2^480 and 2^-480 are taken, and their quotient is a multiplier."""
    v = optimistic_value([2.0**480, 0.0], [[0.0, 2.0**-480]], radius=2.0**-481)
    assert (v.value, v.multiplier) == (2.0**479, 2.0**960)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"support_losses": [-1.0, 0.0]},
            r"support_losses must be nonnegative, got -1.0 at index 0",
        ),
        ({"support_losses": [0.0, np.inf]}, r"support_losses must be finite, got inf at index 1"),
        ({"cost": [[0.0, -0.5]]}, r"cost must be nonnegative, got -0.5 at \(0, 1\)"),
        ({"cost": [[0.0, np.nan]]}, r"cost must be nonnegative, got nan at \(0, 1\)"),
        ({"cost": [[0.0]]}, r"cost must have shape \(N, 2\), got \(1, 1\)"),
        (
            {"cost": [[0.0, 1.0], [np.inf, np.inf]]},
            r"cost must have a finite entry .*, got none in row 1",
        ),
        (
            {"support_losses": [math.nextafter(2.0**480, math.inf), 0.0]},
            r"support_losses must be at most 2\^480, got 3.1217\d*e\+144 at index 0",
        ),
        (
            {"cost": [[0.0, math.nextafter(2.0**-480, 0)]]},
            r"cost must be 0 or at least 2\^-480, got 3.2\d*e-145 at \(0, 1\)",
        ),
        ({"cost": np.zeros((0, 2))}, r"cost must have shape \(N, 2\), got \(0, 2\)"),
        ({"cost": [[0.0, 5e-324]]}, r"cost must be 0 or at least 2\^-480, got 5e-324 at \(0, 1\)"),
        ({"radius": -0.1}, r"radius must be a finite number of at least 0, got -0.1"),
        ({"radius": np.inf}, r"radius must be a finite number of at least 0, got inf"),
    ],
)
@pytest.mark.parametrize("solve", [optimistic_value, optimistic_value_lp, one_move_value])
def test_transport_arguments_are_checked(solve, change, message):
    """Errors name the argument and show the value."""
    arguments = {"support_losses": [1.0, 0.0], "cost": [[0.0, 0.1]], "radius": 0.1} | change
    with pytest.raises(ValueError, match=message):
        solve(arguments["support_losses"], arguments["cost"], radius=arguments["radius"])


def test_weight_arguments_are_checked():
    """The same for the forms with weights alone, and for ground costs."""
    with pytest.raises(ValueError, match=r"losses must be nonnegative, got -1.0 at index 1"):
        weight_budget_value([0.0, -1.0], radius=0.1)
    with pytest.raises(ValueError, match=r"radius must be a finite number of at least 0, got -1"):
        weight_budget_value([0.0, 1.0], radius=-1)
    with pytest.raises(ValueError, match=r"losses must be finite, got inf at index 0"):
        weight_penalty_value([np.inf, 1.0], multiplier=1.0)
    with pytest.raises(ValueError, match=r"multiplier must be a finite number .*, got nan"):
        weight_penalty_value([0.0, 1.0], multiplier=np.nan)
    with pytest.raises(ValueError, match=r"labels must have shape \(2,\), got \(1,\)"):
        ground_cost([[0.0], [1.0]], [1], [[0.0]], [1], label_price=1.0)
    with pytest.raises(
        ValueError, match=r"support_features must have shape \(1, 1\), got \(1, 2\)"
    ):
        ground_cost([[0.0], [1.0]], [1, 2], [[0.0, 1.0]], [1], label_price=1.0)
    with pytest.raises(ValueError, match=r"label_price must be at least 0, got -1.0"):
        ground_cost([[0.0]], [1], [[0.0]], [1], label_price=-1.0)
    with pytest.raises(ValueError, match=r"features must be a matrix of finite numbers"):
        ground_cost([[np.nan]], [1], [[0.0]], [1], label_price=1.0)
