"""ICLR paper, Section 3.5.1; theory.md A.6, A.7: the price that prunes an estimated fraction."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracles import exact_level
from strategies import contaminations, losses, losses_with_infinities

from rrm_theory import ContaminationOutcome, contamination_gamma, gamma_from_l1_penalty, relax


@given(losses_with_infinities(), contaminations)
@example(np.array([0.0, 0.0, 1.0, 1.0]), 0.1)  # prunes a half
def test_the_level_is_the_definition_s(c, contamination):
    """l = max{c_i : #{j : c_j > c_i}/N >= C'}, over the finite losses, by trying them all."""
    r = contamination_gamma(c, contamination)
    expected = exact_level(c, Fraction(str(contamination)))
    if expected is None:
        assert r.outcome is ContaminationOutcome.NO_LEVEL
        assert math.isnan(r.level)
        assert math.isnan(r.gamma)
        assert r.pruned_fraction == 0
    else:
        assert r.level == expected
        assert r.pruned_fraction == Fraction(int((c > expected).sum()), len(c))
        assert r.pruned_fraction >= Fraction(str(contamination))


@given(losses, contaminations)
def test_gamma_reproduces_the_cut(c, contamination):
    """relax with this gamma prunes what lies above the level, wherever gamma > 0."""
    r = contamination_gamma(c, contamination)
    if r.outcome in (ContaminationOutcome.LEVEL, ContaminationOutcome.NOTHING_TO_PRUNE):
        assert r.gamma == r.level - c.min()
        if r.gamma > 0:
            assert (relax(c, gamma=r.gamma).pruned == (c > r.level)).all()


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=8), contaminations)
def test_gamma_is_the_smallest_float_that_keeps_the_level(c, contamination):
    """c_min + gamma >= level in fractions, and the next smaller float fails."""
    r = contamination_gamma(c, contamination)
    if r.outcome is ContaminationOutcome.LEVEL:
        gap = Fraction(r.level) - Fraction(min(c))
        assert Fraction(r.gamma) >= gap
        assert Fraction(math.nextafter(r.gamma, 0.0)) < gap


def test_a_float_means_the_decimal_it_denotes():
    """0.4 of ten samples are four, although the float 0.4 is above 2/5; Fractions are exact."""
    c = np.arange(10.0)
    assert contamination_gamma(c, 0.4).pruned_fraction == Fraction(4, 10)
    assert contamination_gamma(c, Fraction(0.4)).pruned_fraction == Fraction(5, 10)
    assert contamination_gamma(c, Fraction(2, 5)).level == 5.0
    # The float32 nearest 0.4 denotes 0.4 in its own type.
    assert contamination_gamma(c, np.float32(0.4)).pruned_fraction == Fraction(4, 10)


@pytest.mark.parametrize(
    ("c", "contamination", "outcome", "gamma"),
    [
        ([0.0, 1.0, 2.0], 0.3, ContaminationOutcome.LEVEL, 1.0),
        ([0.0, 1.0, 2.0], 0.0, ContaminationOutcome.NOTHING_TO_PRUNE, 2.0),
        ([0.0, 1.0, 2.0], 0.6, ContaminationOutcome.GAMMA_ZERO, 0.0),
        ([0.0, 0.0, 2.0], 0.6, ContaminationOutcome.NO_LEVEL, math.nan),
        ([3.0, 3.0], 0.0, ContaminationOutcome.NOTHING_TO_PRUNE, 0.0),
        ([0.0, 1.0, np.inf], 0.0, ContaminationOutcome.NOTHING_TO_PRUNE, 1.0),
    ],
)
def test_edge_cases_are_named(c, contamination, outcome, gamma):
    """No level, gamma = 0 and C' = 0 are outcomes with a name and a message."""
    r = contamination_gamma(c, contamination)
    assert r.outcome is outcome
    assert r.gamma == pytest.approx(gamma, nan_ok=True)


@pytest.mark.parametrize("contamination", [1, 1.0, -0.1, math.nan, math.inf, "0.4", True, None])
def test_bad_contamination_is_refused(contamination):
    """C' must lie in [0, 1)."""
    with pytest.raises(ValueError, match=r"contamination must (lie|be a number) in \[0, 1\), got "):
        contamination_gamma([0.0, 1.0], contamination)


@given(st.integers(1, 2**20).map(lambda k: k / 8))
def test_l1_penalty_is_half_of_gamma(theta):
    """theta ||u||_1 = (gamma/2) ||u||_1 with gamma = 2 theta (A.6)."""
    assert gamma_from_l1_penalty(theta) == 2 * theta


def test_l1_penalty_must_be_positive():
    """The error names theta."""
    with pytest.raises(ValueError, match=r"theta must be positive and finite .*, got 0"):
        gamma_from_l1_penalty(0)
