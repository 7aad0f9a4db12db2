"""theory.md, Certificate: an exact bracket for any displacement, in rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from oracles import cost, exact_value
from polytopes import masses
from strategies import (
    displacements,
    losses,
    losses_next_to_the_cut,
    losses_with_infinities,
    tied_problems,
    tied_problems_and_nominal,
)

from rrm_theory import certify, contamination_gamma, relax
from rrm_theory.linear_program import solve_cvxpy, solve_highs
from rrm_theory.reweight import Reweighter

gammas = st.floats(1e-6, 1e6)
any_floats = st.lists(
    st.floats(-2, 2) | st.sampled_from([0.0, -0.0, 5e-324, -1 / 3]), min_size=8, max_size=8
)


@given(tied_problems_and_nominal(), any_floats, st.sampled_from([np.float64, np.float32]))
def test_any_vector_gives_a_bracket(problem, values, dtype):
    """lower <= R_gamma <= upper whatever u is; lower is R_gamma itself."""
    c, gamma, q = problem
    u = np.array(values[: len(c)]).astype(dtype)
    for nominal in (None, q):
        proof = certify(u, c, gamma=gamma, nominal=nominal)
        assert proof.lower == exact_value(c, gamma, nominal)
        assert proof.lower <= proof.upper
        assert proof.gap == proof.upper - proof.lower
        assert proof.is_optimal == (proof.gap == 0)


@given(tied_problems_and_nominal(), any_floats, st.sampled_from([float, Fraction]))
def test_the_proof_can_be_checked(problem, values, kind):
    """The returned u is feasible and costs upper; the multiplier is dual feasible, worth lower."""
    c, gamma, q = problem
    for nominal in (None, q):
        u = [kind(x) for x in values[: len(c)]]
        proof = certify(u, c, gamma=gamma, nominal=nominal)
        mass = masses(len(c), nominal)
        weights = [m + x for m, x in zip(mass, proof.u, strict=True)]
        assert sum(proof.u) == 0
        assert min(weights) >= 0
        if proof.upper < math.inf:
            assert cost(c, weights, gamma, nominal) == proof.upper
        else:
            assert any(p > 0 and x == np.inf for p, x in zip(weights, c, strict=True))
        cut = proof.multiplier + Fraction(gamma) / 2
        assert proof.multiplier <= Fraction(c.min()) + Fraction(gamma) / 2
        clipped = [cut if x == np.inf else min(Fraction(x), cut) for x in c.tolist()]
        assert sum(m * x for m, x in zip(mass, clipped, strict=True)) == proof.lower


@given(losses, gammas, st.data())
def test_arbitrary_floats_are_taken_exactly(c, gamma, data):
    """Not only eighths: random losses and prices; the upper bound is the cost in fractions."""
    c = c + np.array(data.draw(st.lists(st.floats(-1, 1), min_size=len(c), max_size=len(c))))
    u = data.draw(displacements(masses(len(c), None)))
    proof = certify(u, c, gamma=gamma)
    weights = [Fraction(1, len(c)) + x for x in u]
    assert proof.upper == cost(c, weights, gamma)
    assert proof.lower == exact_value(c, gamma)


@given(tied_problems(infinities=False), st.data())
def test_a_feasible_fraction_is_not_touched(problem, data):
    """u is returned as given, with repair 0."""
    c, gamma = problem
    u = data.draw(displacements(masses(len(c), None)))
    proof = certify(u, c, gamma=gamma)
    assert list(proof.u) == u
    assert proof.repair == 0


@given(losses_with_infinities(), gammas)
def test_relax_is_certified(c, gamma):
    """The canonical minimiser, though 1/N is no float for most N."""
    assert relax(c, gamma=gamma).certificate().is_optimal


@given(losses_next_to_the_cut())
def test_relax_is_certified_next_to_the_cut(problem):
    """Where a comparison with the rounded cut would prune the wrong samples."""
    c, gamma = problem
    assert relax(c, gamma=gamma).certificate().is_optimal


@given(tied_problems_and_nominal())
def test_relax_is_certified_with_a_nominal_distribution(problem):
    """The same with q."""
    c, gamma, q = problem
    assert relax(c, gamma=gamma, nominal=q).certificate().is_optimal


@given(tied_problems(), st.sampled_from([np.float32, np.float16]))
@example((np.array([0.0, 0.5, 3.0]), 1.0), np.float16)
def test_a_shorter_float_is_read_in_its_own_type(problem, dtype):
    """-1/N rounded to float32 or float16 is -1/N."""
    c, gamma = problem
    assert certify(relax(c, gamma=gamma).u.astype(dtype), c, gamma=gamma).is_optimal


@given(tied_problems(infinities=False))
def test_the_reweighter_is_certified(problem):
    """Its float32 weights, N p_i, turned into u."""
    c, gamma = problem
    n = len(c)
    rw = Reweighter(n, gamma=gamma)
    rw.update(torch.from_numpy(c))
    u = (rw[torch.arange(n)].double().numpy() - 1) / n
    assert certify(u, c, gamma=gamma).is_optimal


def test_a_mass_too_small_for_the_type_is_not_read_into_0():
    """2^-160 is 0 in float32; u = 0 is the only minimiser, and stays it."""
    u = np.zeros(2, np.float32)
    assert certify(u, [0.0, 0.5], gamma=1.0, nominal=[1.0, 2.0**-160]).is_optimal


def test_highs_is_certified_exactly():
    """A vertex of HiGHS, N = 997, is optimal without any tolerance."""
    c = np.random.default_rng(0).exponential(size=997) ** 3
    assert certify(solve_highs(c, gamma=0.5).u, c, gamma=0.5).is_optimal


def test_an_interior_point_is_bracketed():
    """CVXPY's answer is not optimal, and the certificate says by how much."""
    c = np.random.default_rng(0).exponential(size=200) ** 3
    answer = solve_cvxpy(c, gamma=0.5)
    proof = certify(answer.u, c, gamma=0.5)
    assert 0 < proof.gap < 1e-6
    assert 0 < proof.repair < 1e-6
    assert proof.lower <= Fraction(answer.value) + Fraction(1, 10**6)


def test_what_u_0_costs():
    """Its gap is what relaxation gains: mean(c) - R_gamma(c)."""
    proof = certify([0.0, 0.0, 0.0], [0.0, 1.0, 9.0], gamma=2.0)
    assert (proof.lower, proof.upper, proof.repair) == (1, Fraction(10, 3), 0)


@pytest.mark.parametrize(
    ("u", "repaired", "repair"),
    [
        # Below -1/2: raised to it; then 3/4 of mass received is scaled to the 1/2 freed.
        ([0.75, -0.75], [Fraction(1, 2), Fraction(-1, 2)], Fraction(1, 2)),
        # Nothing freed: (1/2 + 1/2, 1/2) / (3/2).
        ([0.5, 0.0], [Fraction(1, 6), Fraction(-1, 6)], Fraction(1, 2)),
        # Nothing received: (1/2, 1/4) / (3/4).
        ([0.0, -0.25], [Fraction(1, 6), Fraction(-1, 6)], Fraction(1, 4)),
        # No mass left.
        ([-1.0, -1.0], [0, 0], 2),
        # Only raised: 1/128 too much was taken away.
        ([0.5, -0.5 - 1 / 128], [Fraction(1, 2), Fraction(-1, 2)], Fraction(1, 128)),
    ],
)
def test_how_a_displacement_is_made_feasible(u, repaired, repair):
    """Each rule of theory.md once, for floats and for fractions."""
    for given_u in (u, [Fraction(x) for x in u]):
        proof = certify(given_u, [0.0, 3.0], gamma=1.0)
        assert list(proof.u) == repaired
        assert proof.repair == repair


def test_mass_on_an_infinite_loss_costs_infinitely():
    """upper and gap are inf, not an error; lower stays finite."""
    proof = certify([0.0, 0.0], [0.0, np.inf], gamma=1.0)
    assert proof.upper == proof.gap == math.inf
    assert proof.lower == Fraction(1, 2)
    assert not proof.is_optimal


def test_a_billionth_of_one_sample_is_seen():
    """A billionth of the mass of one sample left behind shows, exactly."""
    n = 10_001
    c = np.random.default_rng(0).exponential(size=n)
    gamma = contamination_gamma(c, 0.2).gamma
    r = relax(c, gamma=gamma)
    i = int(np.flatnonzero(r.pruned)[0])
    u = [Fraction(x) for x in r.certificate().u]
    left = Fraction(1, n * 10**9)
    u[i] += left
    u[int(c.argmin())] -= left
    excess = Fraction(c[i]) - Fraction(c.min()) - Fraction(gamma)
    assert certify(u, c, gamma=gamma).gap == left * excess
