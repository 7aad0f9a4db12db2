"""ICLR paper, Eq. (2); theory.md A.1, A.12: the relaxed risk is a clipped mean."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from oracles import cost, exact_value, linear_program
from strategies import (
    gammas,
    losses,
    losses_and_nominal,
    losses_and_weights,
    losses_next_to_the_cut,
    losses_with_infinities,
)

from rrm_theory import relaxed_risk

EPS = Fraction(2) ** -52
# linprog's feasibility and optimality tolerances are 1e-7 absolute, on losses up to 16 in size.
LP_TOLERANCE = 1e-7 * 16


@given(losses, gammas)
@example(np.zeros(3), 1.0)  # every sample is cheapest
@example(np.array([0.0, 2.0]), 2.0)  # a loss exactly at the cut
@example(np.array([5.0]), 1.0)  # one sample
def test_closed_form_is_the_linear_program_s_value(c, gamma):
    """R_gamma(c) = (1/N) sum min(c_i, c_min + gamma) is the minimum of Eq. (2)."""
    value, _ = linear_program(c, gamma)
    assert relaxed_risk(c, gamma=gamma) == pytest.approx(value, abs=LP_TOLERANCE)


@given(losses_and_nominal(), gammas)
@example((np.array([0.0, 4.0]), np.array([0.0, 1.0])), 1.0)  # the cheapest sample has no mass
def test_closed_form_with_a_nominal_distribution(problem, gamma):
    """With q instead of 1/N the value is sum q_i min(c_i, c_min + gamma)."""
    c, q = problem
    value, _ = linear_program(c, gamma, q)
    assert relaxed_risk(c, gamma=gamma, nominal=q) == pytest.approx(value, abs=LP_TOLERANCE)
    # Losses, gamma and q are multiples of 1/64 below 2^10, so nothing is rounded.
    assert Fraction(relaxed_risk(c, gamma=gamma, nominal=q)) == exact_value(c, gamma, q)


@given(losses_and_weights(), gammas)
def test_no_feasible_weights_do_better(problem, gamma):
    """R_gamma(c) <= <p, c> + (gamma/2) |p - 1/N|_1 for every p in the simplex, exactly."""
    c, mass = problem
    weights = [Fraction(m, sum(mass)) for m in mass]
    assert exact_value(c, gamma) <= cost(c, weights, gamma)


@given(losses_with_infinities(), gammas)
def test_infinite_losses_count_as_the_cut(c, gamma):
    """+inf is clipped like any loss above the cut."""
    exact = exact_value(c, gamma)
    assert abs(Fraction(relaxed_risk(c, gamma=gamma)) - exact) <= EPS * abs(exact)


@given(losses_next_to_the_cut())
@example((np.array([-0.3, -0.3, 9.0]), 0.8999999999999999))  # cancels but for the cut's rounding
def test_value_is_within_two_units_in_the_last_place(problem):
    """One rounding of the sum, one of the quotient, whatever the floats."""
    c, gamma = problem
    exact = exact_value(c, gamma)
    assert abs(Fraction(relaxed_risk(c, gamma=gamma)) - exact) <= EPS * abs(exact)


@given(losses, gammas)
@example(np.array([0.0, 1.0]), 1.0)  # equality at gamma = c_max - c_min
def test_never_above_the_empirical_risk(c, gamma):
    """R_gamma <= mean(c), with equality iff gamma >= c_max - c_min."""
    exact, mean = exact_value(c, gamma), sum(map(Fraction, c.tolist())) / len(c)
    assert exact <= mean
    assert (exact == mean) == (gamma >= c.max() - c.min())
    assert relaxed_risk(c, gamma=gamma) == pytest.approx(float(exact), rel=float(EPS), abs=0)


@pytest.mark.parametrize(
    ("c", "message"),
    [
        ([], r"losses must be a non-empty vector, got shape \(0,\)"),
        ([[1.0]], r"losses must be a vector, got shape \(1, 1\)"),
        ([0.0, np.nan], r"losses must not be NaN, got nan at index 1"),
        ([np.inf, np.inf], r"losses must hold a finite value, got only \+inf \(2 of them\)"),
        (
            [0.0, -np.inf],
            r"losses must lie in \[-2\^960, 2\^960\] or be \+inf, got -inf at index 1",
        ),
        ([1e300], r"got 1e\+300 at index 0"),
        ([2**53 + 1], r"losses must be exact in float64, got the integer 9007199254740993"),
        ([-(2**62), 0], r"got the integer -4611686018427387904"),
        (np.array([1, 2**60], np.uint64), r"got the integer 1152921504606846976 at index 1"),
        (np.array([1, 1 + 2.0**-52]) + np.longdouble(2) ** -60, r"exact in float64, got np.longd"),
        ([[1.0], [1.0, 2.0]], r"losses must be an array of real numbers, got list: "),
        (torch.ones(2, requires_grad=True), r"losses must be an array .* got Tensor: .*detach"),
        (torch.ones(2, dtype=torch.bfloat16), r"losses must be an array .* got Tensor: "),
        (["a"], r"losses must be real numbers, got dtype <U1"),
        ([True], r"losses must be real numbers, got dtype bool"),
    ],
)
def test_bad_losses_are_refused_by_name_and_value(c, message):
    """A ValueError names the argument and shows the value."""
    with pytest.raises(ValueError, match=message):
        relaxed_risk(c, gamma=1.0)


@pytest.mark.parametrize("gamma", [0, -1.0, np.inf, np.nan, 1e300, 10**400, Fraction(10**400)])
def test_bad_gamma_is_refused_by_value(gamma):
    """Gamma must be positive and finite."""
    with pytest.raises(ValueError, match=r"gamma must be positive and finite .*, got "):
        relaxed_risk([0.0], gamma=gamma)


@pytest.mark.parametrize("gamma", ["1", None, True])
def test_gamma_must_be_a_number(gamma):
    """A text, None or a truth value is no price."""
    with pytest.raises(ValueError, match=rf"gamma must be a number, got {gamma!r}"):
        relaxed_risk([0.0], gamma=gamma)


@pytest.mark.parametrize("gamma", [Fraction(1, 3), 2**53 + 1])
def test_a_price_that_no_float_holds_is_refused(gamma):
    """Nothing could be exact about it; a fraction that is a float is taken."""
    with pytest.raises(ValueError, match=r"gamma must be exact in float64, got "):
        relaxed_risk([0.0, 1.0], gamma=gamma)
    assert relaxed_risk([0.0, 1.0], gamma=Fraction(1, 2)) == 0.25


@pytest.mark.parametrize(
    ("q", "message"),
    [
        ([1.0], r"nominal must have shape \(2,\) like losses, got \(1,\)"),
        ([1.5, -0.5], r"nominal must be nonnegative, got -0.5 at index 1"),
        ([np.nan, 1.0], r"nominal must be nonnegative, got nan at index 0"),
        ([0.5, 0.4], r"nominal must sum to 1, got 0.9"),
        (["a", "b"], r"nominal must be real numbers, got dtype <U1"),
        ([1j, 1.0], r"nominal must be real numbers, got dtype complex128"),
    ],
)
def test_bad_nominal_is_refused(q, message):
    """The nominal weights must be a distribution over the samples."""
    with pytest.raises(ValueError, match=message):
        relaxed_risk([0.0, 1.0], gamma=1.0, nominal=q)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float16, np.float32])
def test_every_smaller_type_is_taken_exactly(dtype):
    """Integers and short floats mean the numbers they hold."""
    assert relaxed_risk(np.array([0, 1, 10], dtype=dtype), gamma=2) == 1.0
