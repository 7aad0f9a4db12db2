"""ICLR paper, Eq. (2); theory.md A.2, A.8: the weight problem as a program, by HiGHS and CVXPY."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from polytopes import optimal_set
from strategies import tied_problems, tied_problems_and_nominal

from rrm_theory import gamma_path, relax
from rrm_theory.linear_program import SolverOutcome, solve_cvxpy, solve_highs, solve_highs_path


def check(answer, r, accuracy):
    """Feasible, with the value and an optimal multiplier of the closed form."""
    low, high = r.multiplier_interval
    assert answer.outcome is SolverOutcome.OPTIMAL
    assert answer.value == pytest.approx(r.value, abs=accuracy)
    assert low - accuracy <= answer.multiplier <= high + accuracy
    assert abs(answer.u.sum()) <= accuracy
    assert (answer.u >= -r.nominal - accuracy).all()
    assert answer.seconds > 0


@given(tied_problems_and_nominal())
def test_highs_agrees_with_the_closed_form(problem):
    """Value and multiplier with and without a nominal distribution; losses are below 100."""
    c, gamma, q = problem
    for nominal in (None, q):
        r = relax(c, gamma=gamma, nominal=nominal)
        check(solve_highs(c, gamma=gamma, nominal=nominal), r, 1e-8)


@settings(max_examples=25)
@given(tied_problems_and_nominal())
def test_cvxpy_agrees_with_the_closed_form(problem):
    """To the accuracy of an interior-point method."""
    c, gamma, q = problem
    for nominal in (None, q):
        r = relax(c, gamma=gamma, nominal=nominal)
        check(solve_cvxpy(c, gamma=gamma, nominal=nominal), r, 1e-5)


@given(tied_problems())
def test_highs_agrees_with_an_exact_program(problem):
    """Neither HiGHS nor the closed form: an exact simplex method on Eq. (2)."""
    c, gamma = problem
    exact, _ = optimal_set(c, gamma=gamma)
    assert solve_highs(c, gamma=gamma).value == pytest.approx(float(exact), abs=1e-8)


@pytest.mark.parametrize("presolve", [False, True])
def test_highs_at_n_2000(presolve):
    """Value and multiplier agree to 1e-9 relative, with presolve and without."""
    c = np.random.default_rng(0).exponential(size=2000) ** 3
    answer, r = solve_highs(c, gamma=0.8, presolve=presolve), relax(c, gamma=0.8)
    assert answer.value == pytest.approx(r.value, rel=1e-9)
    assert answer.multiplier == pytest.approx(r.multiplier, rel=1e-9)


def test_hot_started_highs_walks_along_the_gamma_path():
    """R_gamma at 40 prices from one model, up and down."""
    c = np.random.default_rng(0).exponential(size=500) ** 2
    path = gamma_path(c)
    prices = np.linspace(0.05, 1.2 * (c.max() - c.min()), 20)
    for gammas in (prices, prices[::-1]):
        answers = solve_highs_path(c, gammas=gammas.tolist())
        for gamma, answer in zip(gammas, answers, strict=True):
            assert answer.value == pytest.approx(path(gamma), rel=1e-9)


@pytest.mark.parametrize("outlier", [1e6, 1e9, 1e12, 1e15, 1e19])
def test_a_huge_loss_does_not_cost_highs_its_digits(outlier):
    """The value is that of u, and u has no mass there; N = 101."""
    c = np.r_[np.random.default_rng(0).random(100), outlier]
    answer, r = solve_highs(c, gamma=2.0), relax(c, gamma=2.0)
    assert answer.value == pytest.approx(r.value, rel=1e-9)


@pytest.mark.parametrize("outlier", [1e3, 1e6, 1e9])
def test_cvxpy_s_value_is_that_of_its_u(outlier):
    """Off by eight digits of the largest loss, as documented, or not solved."""
    c = np.array([0.0, 0.5, 5.0, outlier])
    answer = solve_cvxpy(c, gamma=1.0)
    if answer.outcome is SolverOutcome.OPTIMAL:
        at_u = (0.25 + answer.u) @ c + np.abs(answer.u).sum() / 2
        assert answer.value == pytest.approx(at_u, rel=1e-12)
        assert answer.value == pytest.approx(relax(c, gamma=1.0).value, abs=1e-8 * outlier)


def test_the_seconds_of_a_path_add_up():
    """No solution pays for another's time, nor for a pause between them."""

    def prices():
        for gamma in (0.5, 1.0, 2.0):
            time.sleep(0.05)
            yield gamma

    start = time.perf_counter()
    answers = solve_highs_path(np.arange(2000.0) % 7, gammas=prices())
    wall = time.perf_counter() - start
    assert 0 < sum(one.seconds for one in answers) <= wall - 3 * 0.05


@pytest.mark.parametrize("solve", [solve_highs, solve_cvxpy])
def test_infinite_losses_are_left(solve):
    """u_i = -1/N there, and the rest is as without them."""
    answer = solve([0.0, np.inf, 0.5, np.inf], gamma=1.0)
    assert answer.u == pytest.approx([0.5, -0.25, 0.0, -0.25], abs=1e-6)
    assert answer.value == pytest.approx(0.5 * 0.25 + 1.0 * 0.5, abs=1e-6)


@pytest.mark.parametrize("solve", [solve_highs, solve_cvxpy])
def test_numbers_beyond_the_solver_are_a_named_outcome(solve):
    """1e30 is infinite for HiGHS and hopeless for an interior-point method."""
    answer = solve([0.0, 0.5, 1e30], gamma=1.0)
    assert answer.outcome is SolverOutcome.NOT_SOLVED
    assert np.isnan([answer.value, answer.multiplier, *answer.u]).all()


@pytest.mark.parametrize("solve", [solve_highs, solve_cvxpy])
def test_arguments_are_checked(solve):
    """As in relax."""
    with pytest.raises(ValueError, match=r"gamma must be positive and finite .*, got 0\.0"):
        solve([0.0, 1.0], gamma=0.0)
    with pytest.raises(ValueError, match=r"losses must not be NaN, got nan at index 0"):
        solve([np.nan, 1.0], gamma=1.0)
    with pytest.raises(ValueError, match=r"nominal must sum to 1, got 0\.5"):
        solve([0.0, 1.0], gamma=1.0, nominal=[0.25, 0.25])
