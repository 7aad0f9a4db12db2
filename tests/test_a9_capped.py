"""theory.md A.8, A.9: a cap with a price or a budget, against exact linear programs."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracles import exact_value, linear_program
from polytopes import masses, optimal_set, vertices
from strategies import gammas, losses, tied_problems, tied_problems_and_nominal

from rrm_theory import CappedOutcome, TrimmedOutcome, capped_relax, relax, trimmed_risk

caps = st.integers(8, 40).map(lambda k: Fraction(k, 8))
budgets = st.integers(0, 31).map(lambda k: Fraction(k, 32))
LITTLE = Fraction(1, 10**6)


def cost(c, weights, q, gamma=0):
    """Return sum p c + (gamma/2) ||p - q||_1 of float weights, in floats; inf * 0 is 0."""
    held = weights > 0
    return weights[held] @ c[held] + gamma / 2 * np.abs(weights - q).sum()


def check_weights(r, c, q, cap):
    """u = p - q, total 1, bounds 0 and cap q, the stated mass moved, all to rounding."""
    mass = np.array([float(x) for x in q])
    assert r.u == pytest.approx(r.weights - mass, abs=1e-15)
    assert r.weights.sum() == pytest.approx(1, abs=1e-14)
    assert (r.weights >= 0).all()
    if cap is not None:
        assert (r.weights <= float(cap) * mass + 1e-15).all()
    assert np.maximum(r.u, 0).sum() == pytest.approx(float(r.moved), abs=1e-14)
    for value in set(c.tolist()):
        ratio = r.weights[(c == value) & (mass > 0)] / mass[(c == value) & (mass > 0)]
        assert ratio == pytest.approx(np.full(ratio.size, ratio[:1].mean() if ratio.size else 0))


@given(tied_problems_and_nominal(), caps)
@example((np.array([0.0, 3.0]), 1.0, np.array([0.5, 0.5])), Fraction(2))
def test_the_capped_value_is_the_program_s(problem, cap):
    """Rounded once from the exact optimum; the weights are feasible and attain it."""
    c, gamma, q = problem
    for nominal in (None, q):
        r = capped_relax(c, gamma=gamma, cap=cap, nominal=nominal)
        exact, _ = optimal_set(c, gamma=gamma, cap=cap, nominal=nominal)
        assert r.value == (math.inf if exact is None else float(exact))
        mass = masses(len(c), nominal)
        check_weights(r, c, mass, cap)
        if exact is not None:
            at_weights = cost(c, r.weights, r.nominal, gamma)
            assert at_weights == pytest.approx(r.value, abs=1e-12)


@given(tied_problems_and_nominal(), caps, budgets)
def test_unique_weights_are_rounded_once_or_twice(problem, cap, budget):
    """Where the exact optimal set is a point: once with 1/N each, else within two roundings."""
    c, gamma, q = problem
    for nominal in (None, q):
        mass = masses(len(c), nominal)
        for r, program in (
            (capped_relax(c, gamma=gamma, cap=cap, nominal=nominal), {"gamma": gamma}),
            (trimmed_risk(c, budget=budget, cap=cap, nominal=nominal), {"budget": budget}),
        ):
            exact, polytope = optimal_set(c, cap=cap, nominal=nominal, **program)
            if exact is None or polytope.affine_dimension() > 0:
                continue
            ((*u,),) = vertices(polytope)
            weights = [float(m + x) for m, x in zip(mass, u, strict=True)]
            if nominal is None:
                assert r.weights.tolist() == weights
                assert r.u.tolist() == [float(x) for x in u]
            else:
                assert r.weights == pytest.approx(weights, rel=2.0**-52, abs=0)
                assert r.u == pytest.approx([float(x) for x in u], rel=2.0**-52, abs=0)


@given(tied_problems(infinities=False), caps)
def test_the_capped_value_is_highs_s(problem, cap):
    """The same from a second solver, in floats."""
    c, gamma = problem
    value, _ = linear_program(c, gamma, cap=float(cap))
    assert capped_relax(c, gamma=gamma, cap=cap).value == pytest.approx(value, abs=1e-7)


@given(tied_problems_and_nominal(), caps)
@example((np.array([0.0, 0.0, 1.0]), 1.0, np.array([0.5, 0.0, 0.5])), Fraction(2))
@example((np.array([0.0, 1.0, 2.0, 3.0]), 1.0, np.full(4, 0.25)), Fraction(2))
# A level received in part, but only one of its samples has mass.
@example((np.array([0.0, 0.0, 3.0]), 1.0, np.array([0.5, 0.0, 0.5])), Fraction(3))
# Two samples give a part of what they have.
@example((np.array([0.0, 3.0, 3.0]), 1.0, np.array([0.5, 0.25, 0.25])), Fraction(3, 2))
# Both levels have changed completely: nothing to share.
@example((np.array([0.0, 0.0, 3.0, 3.0]), 1.0, np.full(4, 0.25)), Fraction(2))
# Half of 2 has gone to 0, and the other half may go to 1 at no gain.
@example((np.array([0.0, 1.0, 2.0]), 1.0, np.array([0.5, 0.25, 0.25])), Fraction(3, 2))
def test_the_capped_outcome_names_the_case(problem, cap):
    """Unique iff the exact optimal set is one point; moved iff u is not 0."""
    c, gamma, q = problem
    for nominal in (None, q):
        r = capped_relax(c, gamma=gamma, cap=cap, nominal=nominal)
        exact, polytope = optimal_set(c, gamma=gamma, cap=cap, nominal=nominal)
        if exact is None:
            assert r.outcome is CappedOutcome.INFINITE
            continue
        unique = polytope.affine_dimension() == 0
        moved = r.moved > 0
        expected = {
            (False, True): CappedOutcome.UNCHANGED,
            (False, False): CappedOutcome.UNCHANGED_TIED,
            (True, True): CappedOutcome.MOVED,
            (True, False): CappedOutcome.MOVED_TIED,
        }
        assert r.outcome is expected[moved, unique]


@given(tied_problems_and_nominal(), caps)
@example((np.array([0.0, 3.0]), 1.0, np.array([0.5, 0.5])), Fraction(1))
def test_the_capped_multipliers_are_all_of_the_dual_optima(problem, cap):
    """Both ends attain the value in the dual; a little outside is worse."""
    c, gamma, q = problem
    for nominal in (None, q):
        r = capped_relax(c, gamma=gamma, cap=cap, nominal=nominal)
        exact, _ = optimal_set(c, gamma=gamma, cap=cap, nominal=nominal)
        if exact is None:
            continue
        mass, half = masses(len(c), nominal), Fraction(gamma) / 2

        def dual(multiplier, mass=mass, half=half):
            """Return sum_i q_i min over p_i in [0, cap q_i], per unit of q_i."""
            total = Fraction(0)
            for m, x in zip(mass, c.tolist(), strict=True):
                kinks = [half]
                if x < math.inf:
                    rest = Fraction(x) - multiplier
                    kinks += [rest, cap * rest + (cap - 1) * half]
                total += m * (multiplier + min(kinks))
            return total

        for end, outward in zip(r.multiplier_interval, (-LITTLE, LITTLE), strict=True):
            if math.isfinite(end):
                assert dual(Fraction(end)) == exact
                assert dual(Fraction(end) + outward) < exact


@given(tied_problems_and_nominal(), caps)
def test_pruned_and_filled_are_exact(problem, cap):
    """p_i = 0 and p_i = cap q_i, of samples with mass."""
    c, gamma, q = problem
    for nominal in (None, q):
        r = capped_relax(c, gamma=gamma, cap=cap, nominal=nominal)
        mass = masses(len(c), nominal)
        assert r.pruned.tolist() == [p == 0 and m > 0 for p, m in zip(r.weights, mass, strict=True)]
        near = [
            abs(Fraction(p) - cap * m) < LITTLE and m > 0
            for p, m in zip(r.weights, mass, strict=True)
        ]
        assert r.filled.tolist() == near


@given(tied_problems())
@example((np.array([0.0, 3.0]), 1.0))
def test_cap_n_is_relaxation(problem):
    """The known end: weights bit for bit, value, pruned; its multiplier is optimal here."""
    c, gamma = problem
    ours, r = capped_relax(c, gamma=gamma, cap=len(c)), relax(c, gamma=gamma)
    assert ours.weights.tolist() == r.weights.tolist()
    assert ours.u.tolist() == r.u.tolist()
    assert ours.pruned.tolist() == r.pruned.tolist()
    assert ours.value == pytest.approx(r.value, rel=1e-15, abs=1e-15)
    low, high = ours.multiplier_interval
    assert low <= r.multiplier_interval[0] <= r.multiplier_interval[1] <= high
    assert ours.outcome.name == r.outcome.name


def test_cap_1_is_the_empirical_risk():
    """Nothing can move; every multiplier from c_max - gamma/2 on is optimal."""
    r = capped_relax([0.0, 1.0, 5.0], gamma=1.0, cap=1)
    assert r.weights.tolist() == [1 / 3] * 3
    assert (r.value, r.moved, r.outcome) == (2.0, 0, CappedOutcome.UNCHANGED)
    assert r.multiplier == 4.5
    assert r.multiplier_interval == (4.5, math.inf)


def test_a_cap_spreads_the_freed_mass():
    """Ten samples, 4 of them gone: without a cap one sample gets all, with cap 2 four get it."""
    c = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 9.0, 9.0, 9.0, 9.0])
    assert relax(c, gamma=1.0).weights.max() == 0.5
    r = capped_relax(c, gamma=1.0, cap=2)
    assert r.weights.tolist() == [0.2] * 4 + [0.1] * 2 + [0.0] * 4
    assert r.filled.tolist() == [True] * 4 + [False] * 6


@given(tied_problems_and_nominal(), budgets, st.none() | caps)
@example((np.array([0.0, 1.0, 3.0]), 1.0, np.array([0.0, 0.5, 0.5])), Fraction(1, 4), None)
@example((np.array([0.0, 0.0, 3.0]), 1.0, np.array([0.0, 0.0, 1.0])), Fraction(1, 4), None)
def test_the_trimmed_value_is_the_program_s(problem, budget, cap):
    """Rounded once from the exact optimum within the budget; weights feasible and attaining it."""
    c, _, q = problem
    for nominal in (None, q):
        r = trimmed_risk(c, budget=budget, cap=cap, nominal=nominal)
        exact, _ = optimal_set(c, budget=budget, cap=cap, nominal=nominal)
        assert r.value == (math.inf if exact is None else float(exact))
        mass = masses(len(c), nominal)
        check_weights(r, c, mass, cap)
        assert r.moved <= budget
        if exact is None:
            assert r.outcome is TrimmedOutcome.INFINITE
        else:
            assert cost(c, r.weights, r.weights) == pytest.approx(r.value, abs=1e-12)


@given(tied_problems(infinities=False), budgets)
def test_the_budget_form_is_the_conjugate(problem, budget):
    """V = max_gamma (R_gamma - gamma budget): attained at the multiplier, exceeded nowhere."""
    c, gamma = problem
    r = trimmed_risk(c, budget=budget)
    exact, _ = optimal_set(c, budget=budget)
    assert exact_value(c, gamma) - Fraction(gamma) * budget <= exact
    for best in r.multiplier_interval:
        if 0 < best < math.inf:
            assert exact_value(c, best) - Fraction(best) * budget == exact


@given(tied_problems_and_nominal(), budgets, st.none() | caps)
@example((np.array([0.0, 3.0]), 1.0, np.array([0.5, 0.5])), Fraction(0), None)
def test_the_budget_s_multipliers_are_minus_the_derivatives(problem, budget, cap):
    """(right, left), from the exact program a millionth to either side."""
    c, _, q = problem
    for nominal in (None, q):
        r = trimmed_risk(c, budget=budget, cap=cap, nominal=nominal)
        here, above, below = (
            optimal_set(c, budget=rho, cap=cap, nominal=nominal)[0]
            for rho in (budget, budget + LITTLE, budget - LITTLE)
        )
        if here is None:
            continue
        low, high = r.multiplier_interval
        assert Fraction(low) == (here - above) / LITTLE
        assert high == (math.inf if below is None else (below - here) / LITTLE)
        assert r.multiplier == low


@given(losses, budgets)
def test_a_budget_with_its_cap_is_the_trimmed_mean(c, budget):
    """The known end: cap 1/(1 - rho) gives the mean of the smallest (1 - rho) N losses."""
    kept = (1 - budget) * len(c)
    whole = math.floor(kept)
    ordered = [Fraction(x) for x in sorted(c.tolist())]
    total = sum(ordered[:whole]) + (kept - whole) * ordered[min(whole, len(c) - 1)]
    r = trimmed_risk(c, budget=budget, cap=1 / (1 - budget))
    assert r.value == float(total / kept)


@given(losses, budgets)
def test_exactly_the_budget_moves(c, budget):
    """Unlike a price, also with ties; unless everything is at the minimum before."""
    r = trimmed_risk(c, budget=budget)
    above = Fraction(int((c > c.min()).sum()), len(c))
    assert r.moved == min(budget, above)
    spent = r.moved == budget
    assert r.outcome is (TrimmedOutcome.SPENT if spent else TrimmedOutcome.NOT_NEEDED)


def test_a_price_may_prune_more_than_a_budget():
    """Half the losses 0, half 1: contamination 0.1 prunes 1/2 at a price, 0.1 with a budget."""
    c = np.repeat([0.0, 1.0], 5)
    assert relax(c, gamma=0.5).pruned.sum() == 5
    r = trimmed_risk(c, budget=0.1)
    assert r.moved == Fraction(1, 10)
    # The tenth is taken from the five alike: each keeps 4/5 of its weight.
    assert r.weights.tolist() == [0.12] * 5 + [0.08] * 5


def test_decimals_are_read_as_written():
    """0.3 of ten samples are three, and 1.1 is 11/10; numpy's integers do not wrap."""
    c = np.arange(10.0)
    k, d = np.int64(2**40 + 1), np.int64(2**42 + 3)
    assert trimmed_risk(c, budget=Fraction(k, d)).moved == Fraction(int(k), int(d))
    assert trimmed_risk(c, budget=0.3).moved == Fraction(3, 10)
    assert capped_relax(c, gamma=1.0, cap=1.1).cap == Fraction(11, 10)


@given(st.permutations(range(7)))
def test_the_order_does_not_matter(order):
    """The weights follow their samples."""
    c = np.array([0.0, 0.0, 1.0, 2.5, 4.0, 4.0, 7.0])
    for solve in (
        lambda x: capped_relax(x, gamma=1.0, cap=1.5).weights,
        lambda x: trimmed_risk(x, budget=0.3).weights,
    ):
        assert solve(c[order]).tolist() == solve(c)[order].tolist()


def test_infinite_losses_that_cannot_leave():
    """Half the mass at +inf, room for a quarter of it."""
    c = [0.0, np.inf]
    assert capped_relax(c, gamma=1.0, cap=1.5).outcome is CappedOutcome.INFINITE
    assert capped_relax(c, gamma=1.0, cap=1.5).value == math.inf
    assert np.isnan(capped_relax(c, gamma=1.0, cap=1.5).multiplier_interval).all()
    assert capped_relax(c, gamma=1.0, cap=2).value == 0.5
    r = trimmed_risk(c, budget=0.25)
    assert (r.value, r.outcome) == (math.inf, TrimmedOutcome.INFINITE)
    assert np.isnan([r.multiplier, *r.multiplier_interval]).all()
    assert trimmed_risk(c, budget=0.5).value == 0.0


@given(gammas)
def test_a_single_sample_stays(gamma):
    """N = 1: nothing to move to."""
    r = capped_relax([2.0], gamma=gamma, cap=3)
    assert (r.value, r.moved, r.weights.tolist()) == (2.0, 0, [1.0])
    assert trimmed_risk([2.0], budget=0.5).value == 2.0


@pytest.mark.parametrize("cap", [0.99, -1, np.inf, np.nan, "2", True, None])
def test_caps_are_checked(cap):
    """At least 1, finite, a number."""
    with pytest.raises(ValueError, match=r"cap must be a finite number of at least 1, got "):
        capped_relax([0.0, 1.0], gamma=1.0, cap=cap)


@pytest.mark.parametrize("budget", [-0.1, 1.0, np.nan, "0.1", True])
def test_budgets_are_checked(budget):
    """In [0, 1)."""
    with pytest.raises(ValueError, match=r"budget must lie in \[0, 1\), got "):
        trimmed_risk([0.0, 1.0], budget=budget)
