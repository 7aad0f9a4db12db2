"""theory.md A.8, A.9 in torch: a cap and a budget in the reweighter, against exact solutions."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import (
    DTYPES,
    contaminations,
    float_losses,
    gammas,
    losses,
    losses_next_to_the_cut,
    losses_with_infinities,
)

from rrm_theory import capped_relax, contamination_gamma, trimmed_risk
from rrm_theory.reweight import Reweighter, ReweightOutcome, plain
from rrm_theory.reweight import reweighter as module
from rrm_theory.reweight.parts import Part

caps = st.sampled_from([Fraction(1), Fraction(5, 4), Fraction(4, 3), Fraction(2), Fraction(9)])
budgets = st.integers(0, 15).map(lambda k: k / 16) | st.fractions(0, Fraction(31, 32))


def assert_same(rw, update, solution, c):
    """N p from the same fractions, the moved mass exact, the pruned set that of weights 0."""
    n = len(c)
    assert update.n_minimum == int((c == c.min()).sum())
    assert update.freed_mass == solution.moved
    # Both round N p or p once, and one of them divides or multiplies by N.
    assert rw[:].tolist() == pytest.approx((n * solution.weights).tolist(), rel=2.0**-51, abs=0)
    assert rw.pruned.tolist() == (solution.weights == 0).tolist()
    assert update.n_pruned == (solution.weights == 0).sum()


@given(losses_with_infinities(), gammas, caps)
@example(np.array([-0.0, 0.0, 5.0, 0.0]), 1.0, Fraction(4, 3))
@example(np.array([0.0, 5.0, 6.0]), 1.0, Fraction(5, 4))
def test_a_cap_at_a_price(c, gamma, cap):
    """The minimiser of capped_relax, also in which samples are full."""
    rw = Reweighter(len(c), gamma=gamma, cap=cap, dtype=torch.float64)
    update = rw.update(c)
    r = capped_relax(c, gamma=gamma, cap=cap)
    assert_same(rw, update, r, c)
    if cap > 1:
        assert (rw[:] == float(cap)).tolist() == r.filled.tolist()
    assert (update.outcome is ReweightOutcome.INFINITE) == (r.value == np.inf)
    assert (update.outcome is ReweightOutcome.NOTHING_PRUNED) == (r.moved == 0 and r.value < np.inf)


@given(losses_with_infinities(), budgets, st.none() | caps)
@example(np.array([0.0, 1.0, 2.0, 10.0]), 0.375, None)
@example(np.array([0.0, 1.0, 1.0, 1.0]), 0.5, Fraction(5, 4))
def test_a_budget(c, budget, cap):
    """The minimiser of trimmed_risk, with a cap and without."""
    rw = Reweighter(len(c), budget=budget, cap=cap, dtype=torch.float64)
    update = rw.update(c)
    r = trimmed_risk(c, budget=budget, cap=cap)
    assert_same(rw, update, r, c)
    assert (update.outcome is ReweightOutcome.INFINITE) == (r.value == np.inf)


@given(float_losses(most=12), gammas | st.floats(1e-6, 20), caps)
@example(torch.tensor([-0.0, 0.0, 5.0, -0.0]), 1.0, Fraction(4, 3))
@example(torch.tensor([0.0, -0.0, 5.0, 5.0], dtype=torch.float64), 1.0, Fraction(4, 3))
@example(torch.tensor([-7.0, -7.0, -0.0, 0.0]), 1.0, Fraction(5, 4))
def test_a_cap_with_zeros_of_both_signs_subnormal_and_huge_losses(c, gamma, cap):
    """All of them embed exactly in float64, where capped_relax solves the same problem."""
    rw = Reweighter(len(c), gamma=gamma, cap=cap, dtype=torch.float64)
    exact = c.double().numpy()
    assert_same(rw, rw.update(c), capped_relax(exact, gamma=gamma, cap=cap), c)


@given(float_losses(most=12), budgets, st.none() | caps)
@example(torch.tensor([-7.0, -0.0, 0.0, 0.0]), 0.5, None)
@example(torch.tensor([-7.0, 0.0, -0.0, -0.0]), 0.5, None)
@example(torch.tensor([-0.0, 0.0, 3.0]), 0.25, Fraction(5, 4))
@example(torch.tensor([0.0, -0.0, 3.0]), 0.25, Fraction(5, 4))
def test_a_budget_with_zeros_of_both_signs_subnormal_and_huge_losses(c, budget, cap):
    """Likewise."""
    rw = Reweighter(len(c), budget=budget, cap=cap, dtype=torch.float64)
    exact = c.double().numpy()
    assert_same(rw, rw.update(c), trimmed_risk(exact, budget=budget, cap=cap), c)


@given(losses_next_to_the_cut(), caps)
def test_the_cut_of_the_search_is_exact(problem, cap):
    """Losses within two floats of c_min + gamma move as capped_relax moves them."""
    c, gamma = problem
    rw = Reweighter(len(c), gamma=gamma, cap=cap, dtype=torch.float64)
    assert_same(rw, rw.update(c), capped_relax(c, gamma=gamma, cap=cap), c)


@given(losses, contaminations, caps)
def test_a_cap_at_a_contamination(c, contamination, cap):
    """At the price of Section 3.5.1; where that is zero, the price is, and it is said."""
    rw = Reweighter(len(c), contamination=contamination, cap=cap, dtype=torch.float64)
    update = rw.update(c)
    level = contamination_gamma(c, contamination)
    if np.isnan(level.level):
        assert update.outcome is ReweightOutcome.NO_LEVEL
    elif level.level > c.min():
        # Eighths: the difference is exact.
        r = capped_relax(c, gamma=level.level - c.min(), cap=cap)
        assert_same(rw, update, r, c)
    else:
        assert_same(rw, update, trimmed_risk(c, budget=Fraction(99, 100), cap=cap), c)
        assert (update.outcome is ReweightOutcome.GAMMA_ZERO) == (update.freed_mass > 0)


@pytest.mark.parametrize("dtype", DTYPES)
@given(losses_with_infinities(), gammas, caps)
def test_every_type_and_plain_torch_alike(dtype, c, gamma, cap):
    """Eighths are exact in every type; the plain operations give the same bits."""
    answers = []
    for do in (plain, module._operations("cpu")):
        rw = Reweighter(len(c), gamma=gamma, cap=cap)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_operations", lambda _, do=do: do)
            answers.append((rw.update(torch.tensor(c, dtype=dtype)), rw.parts, rw[:]))
    (one, parts, w), (two, other_parts, other_w) = answers
    assert repr(one) == repr(two)
    assert torch.equal(parts, other_parts)
    assert torch.equal(w, other_w)
    assert one.freed_mass == capped_relax(c, gamma=gamma, cap=cap).moved


@given(losses, gammas)
def test_a_cap_of_n_is_no_cap(c, gamma):
    """It cannot bind, and the weights have the same bits."""
    without, capped = Reweighter(len(c), gamma=gamma), Reweighter(len(c), gamma=gamma, cap=len(c))
    assert without.update(c).freed_mass == capped.update(c).freed_mass
    assert torch.equal(without[:], capped[:])
    assert torch.equal(without.pruned, capped.pruned)


@given(losses, st.integers(1, 8).map(lambda k: k / 8), gammas, caps)
def test_a_damped_step_towards_the_capped_target(c, step, gamma, cap):
    """w <- w + mu (N p* - w), from 1."""
    rw = Reweighter(len(c), gamma=gamma, cap=cap, step=step, dtype=torch.float64)
    rw.update(c)
    target = len(c) * capped_relax(c, gamma=gamma, cap=cap).weights
    assert rw[:].tolist() == pytest.approx((1 + step * (target - 1)).tolist(), abs=2.0**-48)


@given(losses_with_infinities(), budgets, caps)
def test_the_threshold_separates(c, budget, cap):
    """Losses above it are pruned, the others are not."""
    rw = Reweighter(len(c), budget=budget, cap=cap)
    update = rw.update(c)
    assert rw.pruned.tolist() == (c > update.threshold).tolist()


def test_a_cap_beyond_all_floats():
    """It is only a number that nobody's weight reaches."""
    rw = Reweighter(3, gamma=1.0, cap=Fraction(10**400))
    assert rw.update([0.0, 1.0, 5.0]).freed_mass == Fraction(1, 3)
    assert rw[:].tolist() == [2, 1, 0]


def test_every_part_by_hand():
    """With room for half a sample each: 10 fills both 0, then 9 fills 1 and 2; saves 7 at least."""
    rw = Reweighter(6, gamma=6.0, cap=1.5)
    update = rw.update([0.0, 0.0, 1.0, 2.0, 9.0, 10.0])
    assert rw[:].tolist() == [1.5, 1.5, 1.5, 1.5, 0.0, 0.0]
    assert update.freed_mass == Fraction(2, 6)
    # With a quarter of a sample to move the largest loss is thinned, the smallest two are raised.
    rw = Reweighter(6, budget=Fraction(1, 24), cap=1.5)
    rw.update([0.0, 0.0, 1.0, 2.0, 9.0, 10.0])
    assert rw[:].tolist() == [1.125, 1.125, 1.0, 1.0, 1.0, 0.75]
    assert rw.parts.tolist() == [Part.RAISED] * 2 + [Part.UNTOUCHED] * 3 + [Part.THINNED]


@given(losses, gammas, caps)
def test_the_stored_mass_is_one(c, gamma, cap):
    """Exactly where the shares are floats, else up to half an ulp each."""
    rw = Reweighter(len(c), gamma=gamma, cap=cap)
    rw.update(c)
    exact = sum(Fraction(w) for w in rw[:].tolist()) / len(c)
    assert rw.mass() == exact
    # A weight is at most N.
    assert abs(exact - 1) <= Fraction(len(c), 2**24)
