"""LNL-flywheel: Lemma 1, Section 3.3, Eq. (4), Eq. (6), Eq. (11), Eq. (14); theory.md C.3, C.4."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rrm_theory.confidence import (
    ConfidenceOutcome,
    class_posterior,
    clean_posterior,
    clean_proportion,
    confidence_minimum,
    confidence_minimum_cone,
    corruption_likelihood,
    corruption_matrix,
    largest_strength,
)

HALF = Fraction(1, 2)
units = st.integers(0, 8).map(lambda k: Fraction(k, 8))
# Strictly between 0 and 1.
inner = st.integers(1, 7).map(lambda k: Fraction(k, 8))


@st.composite
def simplex(draw, k, least=0):
    """A rational distribution over k classes: integers over their sum."""
    masses = draw(st.lists(st.integers(least, 5), min_size=k, max_size=k))
    masses[draw(st.integers(0, k - 1))] += 1
    return [Fraction(x, sum(masses)) for x in masses]


@st.composite
def two_distributions(draw):
    """(p, m) over 2 to 4 classes; m has no zero."""
    k = draw(st.integers(2, 4))
    return draw(simplex(k)), draw(simplex(k, least=1))


@st.composite
def observed(draw):
    """(q, y~, f): up to 5 samples of 2 or 3 classes, every class possible for every sample."""
    k, n = draw(st.integers(2, 3)), draw(st.integers(1, 5))
    return (
        draw(st.lists(units, min_size=n, max_size=n)),
        draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)),
        [draw(simplex(k, least=1)) for _ in range(n)],
    )


def power_of_likelihood(g, exponents):
    """prod g_y^(a_y d) with d a common denominator: rational, and monotone in sum a_y log g_y."""
    d = math.lcm(*(Fraction(a).denominator for a in exponents))
    answer = Fraction(1)
    for share, a in zip(g, exponents, strict=True):
        answer *= Fraction(share) ** int(a * d)
    return answer


@given(two_distributions(), units | st.sampled_from([Fraction(1, 16), Fraction(3)]), st.data())
@example(([HALF, HALF], [HALF, HALF]), Fraction(1), None)
def test_the_closed_form_is_minimal_where_it_exists(problem, strength, data):
    """No other distribution has a larger prod g_y^a_y, in fractions."""
    p, m = problem
    a = [x - strength * y for x, y in zip(p, m, strict=True)]
    answer = confidence_minimum(p, m, strength=strength)
    if min(a) < 0:
        assert answer.outcome is ConfidenceOutcome.UNBOUNDED
        assert answer.value == -math.inf
        assert strength > largest_strength(p, m)
    elif not any(a):
        assert answer.outcome is ConfidenceOutcome.CONSTANT
        assert answer.value == 0
        assert answer.minimiser is None
    else:
        assert strength <= largest_strength(p, m)
        best = power_of_likelihood(answer.minimiser, a)
        other = data.draw(simplex(len(p), least=0))
        # x^0 = 1, also where the other one has no mass
        assert power_of_likelihood(other, a) <= best
        if tuple(other) != answer.minimiser:
            assert power_of_likelihood(other, a) < best
        d = math.lcm(*(x.denominator for x in a))
        log_of_best = math.log(best.numerator) - math.log(best.denominator)  # best may underflow
        assert answer.value * d == pytest.approx(-log_of_best, rel=1e-12, abs=1e-12)


@given(st.data(), st.integers(2, 4), inner)
def test_lemma_1(data, k, share):
    """p = gamma' p_pi + (1 - gamma') / K, lambda = 1 - gamma': the minimiser is p_pi, exactly."""
    clean = data.draw(simplex(k))
    p = [share * x + (1 - share) / k for x in clean]
    uniform = [Fraction(1, k)] * k
    assert confidence_minimum(p, uniform, strength=1 - share).minimiser == tuple(clean)
    # The largest admissible strength, where p_pi has a zero.
    if min(clean) == 0:
        assert largest_strength(p, uniform) == 1 - share
        beyond = 1 - share + Fraction(1, 100)
        answer = confidence_minimum(p, uniform, strength=beyond)
        assert answer.outcome is ConfidenceOutcome.UNBOUNDED


@given(two_distributions(), st.integers(9, 32).map(lambda k: Fraction(k, 8)))
def test_a_strength_above_1_is_unbounded_for_all_data(problem, strength):
    """The coefficients sum to 1 - lambda < 0; the paper trains with lambda = 3."""
    answer = confidence_minimum(*problem, strength=strength)
    assert answer.outcome is ConfidenceOutcome.UNBOUNDED


@given(two_distributions(), st.integers(0, 12).map(lambda k: Fraction(k, 8)))
@example(([Fraction(1), Fraction(0)], [HALF, HALF]), Fraction(1))
def test_the_cone_solver_agrees(problem, strength):
    """Values to its tolerance, minimisers to the root of it, unbounded ones by name."""
    p, m = problem
    ours = confidence_minimum(p, m, strength=strength)
    program = confidence_minimum_cone(p, m, strength=strength)
    if ours.outcome is ConfidenceOutcome.UNBOUNDED:
        assert program.outcome is ConfidenceOutcome.UNBOUNDED
        assert program.value == -math.inf
    else:
        assert program.value == pytest.approx(ours.value, abs=1e-6)
    if ours.outcome is ConfidenceOutcome.UNIQUE:
        np.testing.assert_allclose(program.minimiser, np.array(ours.minimiser, float), atol=1e-3)
        assert sum(program.minimiser) == pytest.approx(1, abs=1e-15)


@given(st.data(), st.integers(2, 3), units, st.booleans())
def test_posteriors_are_bayes_rule(data, k, share, uninformative):
    """The joint law of (s, y, y~), enumerated: Eq. (4) with (14); (11) iff T_c's column is flat."""
    f = data.draw(simplex(k, least=1))
    one = data.draw(simplex(k, least=1))
    rows = [one if uninformative else data.draw(simplex(k, least=1)) for _ in range(k)]
    seen = data.draw(st.integers(0, k - 1))
    joint = {
        (s, y): f[y] * (share * (y == seen) if s else (1 - share) * rows[y][seen])
        for s in (0, 1)
        for y in range(k)
    }
    total = sum(joint.values())
    assume(total > 0)
    eps = corruption_likelihood([f], rows, [seen])
    q = clean_posterior([f[seen]], eps, proportion=share)
    assert q[0] == sum(joint[1, y] for y in range(k)) / total
    exact = [(joint[0, y] + joint[1, y]) / total for y in range(k)]
    printed = class_posterior(q, [seen], [f])[0].tolist()
    flat = len({row[seen] for row in rows}) == 1
    assert (printed == exact) == (flat or share == 1)


@given(observed(), inner)
def test_the_proportion_maximises(problem, other):
    """gamma^sum(q) (1 - gamma)^(N - sum(q)), an integer power of it, in fractions."""
    q, _, _ = problem
    exponents = [sum(q), len(q) - sum(q)]
    share = clean_proportion(q)
    best = power_of_likelihood([share, 1 - share], exponents)
    assert power_of_likelihood([other, 1 - other], exponents) <= best
    assert share == sum(q) / len(q)


@given(observed(), st.data())
def test_the_corruption_matrix_maximises(problem, data):
    """Row by row: no other distribution gives the observed labels a larger likelihood."""
    q, labels, f = problem
    mass = class_posterior(q, labels, f)
    assume((mass.sum(axis=0) > 0).all())
    matrix = corruption_matrix(mass, labels)
    k = mass.shape[1]
    for y in range(k):
        exponents = [sum(mass[i, y] for i in range(len(q)) if labels[i] == c) for c in range(k)]
        other = data.draw(simplex(k))
        assert sum(matrix[y]) == 1
        best = power_of_likelihood(matrix[y], exponents)
        assert power_of_likelihood(other, exponents) <= best


@given(observed())
def test_floats_give_the_same_steps(problem):
    """The same formulas on float64, rounding apart."""
    q, labels, f = problem
    assume(min(q) < 1)  # so that every class has some mass
    rows = np.array(f, dtype=float)
    rows /= rows.sum(axis=1, keepdims=True)
    exact, floats = class_posterior(q, labels, f), class_posterior(np.array(q, float), labels, rows)
    assert floats.dtype == np.float64
    np.testing.assert_allclose(floats, exact.astype(float), rtol=0, atol=1e-15)
    assert clean_proportion(np.array(q, float)) == pytest.approx(float(clean_proportion(q)))
    np.testing.assert_allclose(
        corruption_matrix(floats, labels),
        corruption_matrix(exact, labels).astype(float),
        atol=1e-14,
    )


def test_a_class_that_never_occurs_bounds_nothing():
    """m_y = 0 puts no price on y."""
    assert largest_strength([HALF, HALF], [Fraction(1), Fraction(0)]) == HALF


def test_a_certain_minimiser_costs_0():
    """Not -0."""
    value = confidence_minimum([1.0, 0.0], [0.5, 0.5], strength=0).value
    assert math.copysign(1, value) == 1
    assert value == 0


@pytest.mark.parametrize(
    ("likelihood", "corruption", "proportion", "posterior"),
    [
        (Fraction(1, 3), Fraction(1, 3), 0.5, HALF),
        (1 / 4, 1 / 4, HALF, 0.5),
        (Fraction(1, 4), 1 / 4, HALF, 0.5),
        (1 / 4, Fraction(1, 4), HALF, 0.5),
    ],
)
def test_fractions_in_fractions_out(likelihood, corruption, proportion, posterior):
    """One float makes the answer a float; clean and wrong may be equally likely."""
    (answer,) = clean_posterior([likelihood], corruption, proportion=proportion)
    assert answer == posterior
    assert isinstance(answer, Fraction) == isinstance(posterior, Fraction)


def test_the_largest_strength_is_admissible():
    """Also of floats, and also after a detour through one, as far as it is not rounded up."""
    p, m = (0.7, 0.3), (0.5, 0.5)
    strength = largest_strength(p, m)
    assert confidence_minimum(p, m, strength=strength).outcome is ConfidenceOutcome.UNIQUE
    assert confidence_minimum(p, m, strength=0.6).outcome is ConfidenceOutcome.UNIQUE


def test_a_fraction_is_not_rounded():
    """No float is 2/3; with the nearest one the second class would keep or lose a little."""
    third = Fraction(1, 3)
    answer = confidence_minimum([2 * third, third], [HALF, HALF], strength=2 * third)
    assert answer.minimiser == (1, 0)


def test_probabilities_too_small_for_floats():
    """Their logarithms are not."""
    tiny = Fraction(1, 10**400)
    answer = confidence_minimum([tiny, 1 - tiny], [Fraction(0), Fraction(1)], strength=HALF)
    assert answer.value == pytest.approx(0, abs=1e-300)
    assert answer.minimiser[0] == tiny / HALF


def test_a_constant_loss_has_no_minimiser_in_the_cone_program_either():
    """The same named outcome."""
    answer = confidence_minimum_cone([HALF, HALF], [HALF, HALF], strength=1)
    assert answer.outcome is ConfidenceOutcome.CONSTANT
    assert answer.value == 0
    assert answer.minimiser is None


def test_one_float_makes_an_answer_of_floats():
    """Of float64, never of objects."""
    exact, floats = [[HALF, HALF]], np.array([[0.5, 0.5]])
    matrix = [[HALF, HALF], [HALF, HALF]]
    for f, q, t in ((exact, [0.5], np.eye(2)), (floats, [HALF], matrix)):
        assert class_posterior(q, [0], f).dtype == np.float64
        assert corruption_likelihood(f, t, [0]).dtype == np.float64
    assert class_posterior([HALF], [0], exact).dtype == object


def test_corrupted_part_alone():
    """T_c is the same function of (1 - q) f."""
    q, f, labels = np.array([1.0, 0.5, 0.0]), np.full((3, 2), 0.5), [0, 1, 1]
    assert corruption_matrix((1 - q)[:, None] * f, labels).tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: confidence_minimum([0.5, 0.6], [0.5, 0.5], strength=0.5),
            r"conditional must have rows of probabilities, got \(0\.5, 0\.6\)",
        ),
        (
            lambda: confidence_minimum([0.5, 0.5], [1.0], strength=0.5),
            r"marginal must have shape \(2,\) like conditional, got \(1,\)",
        ),
        (
            lambda: confidence_minimum([0.5, 0.5], [0.5, 0.5], strength=-1),
            r"strength must be a finite number of at least 0, got -1",
        ),
        (
            lambda: clean_posterior([0.5, 1.5], 0.5, proportion=0.5),
            r"likelihoods must lie in \[0, 1\], got 1\.5 at \(1,\)",
        ),
        (
            lambda: clean_posterior([0.5, 0.0], 0.0, proportion=0.5),
            r"likelihoods and corruption leave sample 1 impossible",
        ),
        (
            lambda: clean_posterior([0.5], [0.5, 0.5], proportion=0.5),
            r"corruption must be of shape \(1,\), got shape \(2,\)",
        ),
        (
            lambda: clean_posterior([0.5], 0.5, proportion=2),
            r"proportion must lie in \[0, 1\], got 2",
        ),
        (lambda: clean_proportion([]), r"clean must be a non-empty vector, got shape \(0,\)"),
        (
            lambda: class_posterior([0.5, 0.5], [0], [[0.5, 0.5]]),
            r"clean must be of shape \(1,\), got shape \(2,\)",
        ),
        (
            lambda: corruption_matrix([[1.0, 0.0]], [0]),
            r"mass must not be 0 for a whole class, got class 1",
        ),
        (lambda: corruption_matrix([1.0, 0.0], [0]), r"mass must be a matrix, got shape \(2,\)"),
        (
            lambda: confidence_minimum(1, [0.5, 0.5], strength=0.5),
            r"conditional must be a vector, got shape \(\)",
        ),
        (
            lambda: confidence_minimum([0.5, 0.5], [0.5, 0.5], strength=math.nan),
            r"strength must be a finite number of at least 0, got nan",
        ),
        (
            lambda: confidence_minimum([0.5, 0.5], [0.5, 0.5], strength=math.inf),
            r"strength must be a finite number of at least 0, got inf",
        ),
        (lambda: clean_proportion([[0.5], [0.5, 0.5]]), r"clean must be an array of real numbers"),
        (
            lambda: corruption_likelihood([[0.5, 0.5]], np.eye(3), [0]),
            r"corruption must have shape \(2, 2\), got \(3, 3\)",
        ),
    ],
)
def test_bad_input_is_named(call, match):
    """Argument and value."""
    with pytest.raises(ValueError, match=match):
        call()
