r"""Two interconnected EMs on noisy labels: the confidence regulariser and the closed-form steps.

Sample i carries the label y~_i (`labels`, possibly wrong). The main network gives p_pi(. | x), the
auxiliary one f(. | x), rows of probabilities over K classes (`auxiliary`). s_i = 1 says that the
label is clean (`clean` is its posterior probability), gamma is the share of clean labels
(`proportion`), lambda prices confidence (`strength`). Fractions in, fractions out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import fsum, inf, log
from numbers import Rational, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rrm_theory._checks import (
    ExactArray,
    class_indices,
    in_one_type,
    numbers_by_index,
    probability_rows,
)

Numbers = NDArray[Any]


class ConfidenceOutcome(Enum):
    """What kind of minimum the regularised loss has; the value is the message."""

    UNIQUE = "One minimiser, the coefficients divided by their sum."
    CONSTANT = "All coefficients are 0: the loss is 0 for every distribution."
    UNBOUNDED = (
        "A coefficient p_y - lambda m_y is negative: the loss falls without end as g_y -> 0. "
        "Lower the strength to largest_strength, as the fraction it is, or below."
    )
    NOT_SOLVED = "The solver gave up; value and minimiser are None."


@dataclass(frozen=True, kw_only=True)
class ConfidenceMinimum:
    """Minimum over distributions g of the loss with confidence regulariser, at one input x.

    Attributes
    ----------
    value
        The infimum, nats: -inf if unbounded; None if not solved.
    minimiser
        g, K probabilities; None where there is no single minimiser.
    outcome
        What kind of minimum it is.

    """

    value: float | None
    minimiser: tuple[Fraction | float, ...] | None
    outcome: ConfidenceOutcome


def confidence_minimum(
    conditional: ExactArray, marginal: ExactArray, *, strength: float | Fraction
) -> ConfidenceMinimum:
    r"""Return ``min_g -sum_y (p_y - lambda m_y) log g_y`` over the simplex, in closed form.

    With a_y = p_y - lambda m_y: unbounded below if some a_y < 0, else attained at a / sum(a) only,
    which is p_pi where ``p = gamma' p_pi + (1 - gamma') m`` and ``lambda = 1 - gamma'``.

    Parameters
    ----------
    conditional
        p = p(y | x), shape (K,), probabilities.
    marginal
        m = p(y), shape (K,), probabilities; uniform in Lemma 1.
    strength
        lambda >= 0. All floats are taken exactly, as the binary numbers they are.

    Returns
    -------
    ConfidenceMinimum
        The infimum, its minimiser in fractions, the named outcome.

    Raises
    ------
    ValueError
        If ``conditional`` or ``marginal`` are no probabilities or differ in length; if ``strength``
        is negative or not finite.

    Notes
    -----
    Source: LNL-flywheel paper, Lemma 1; theory.md C.3. Exact but for the value's logarithms.
    Cost O(K).

    Examples
    --------
    >>> half = Fraction(1, 2)  # p = 1/2 (1, 0) + 1/2 (1/2, 1/2)
    >>> p = (Fraction(3, 4), Fraction(1, 4))
    >>> print(*confidence_minimum(p, (half, half), strength=half).minimiser)
    1 0
    >>> confidence_minimum(p, (half, half), strength=3).outcome.name  # the paper trains with 3
    'UNBOUNDED'

    """
    coefficients = _coefficients(conditional, marginal, strength)
    if min(coefficients) < 0:
        return ConfidenceMinimum(value=-inf, minimiser=None, outcome=ConfidenceOutcome.UNBOUNDED)
    total = sum(coefficients, Fraction(0))
    if total == 0:
        return ConfidenceMinimum(value=0.0, minimiser=None, outcome=ConfidenceOutcome.CONSTANT)
    g = tuple(a / total for a in coefficients)
    value = fsum(-float(a) * _log(share) for a, share in zip(coefficients, g, strict=True) if a)
    return ConfidenceMinimum(value=value, minimiser=g, outcome=ConfidenceOutcome.UNIQUE)


def confidence_minimum_cone(
    conditional: ExactArray, marginal: ExactArray, *, strength: float | Fraction
) -> ConfidenceMinimum:
    r"""Return ``min_g -sum_y (p_y - lambda m_y) log g_y`` by an exponential-cone solver.

    Classes with a negative coefficient make the problem non-convex; it is then solved in
    ``t_y = -log g_y >= 0`` with ``sum_y exp(-t_y) <= 1``, which lets t_y grow and shows the loss
    unbounded.

    Parameters
    ----------
    conditional, marginal, strength
        As in :func:`confidence_minimum`.

    Returns
    -------
    ConfidenceMinimum
        To the solver's tolerances; the minimiser is normalised.

    Raises
    ------
    ValueError
        As :func:`confidence_minimum`.

    Notes
    -----
    Source: LNL-flywheel paper, Lemma 1; theory.md C.3. By Clarabel through CVXPY; it shares the
    coefficients with the closed form, nothing else.

    Examples
    --------
    >>> g = confidence_minimum_cone((0.75, 0.25), (0.5, 0.5), strength=0.25).minimiser
    >>> [round(x, 4) for x in g]  # (0.625, 0.125) / 0.75
    [0.8333, 0.1667]

    """
    import cvxpy as cp

    a = np.array([float(x) for x in _coefficients(conditional, marginal, strength)])
    t = cp.Variable(a.size)
    # sum g = 1 relaxed to <= 1: more of any g_y never raises a loss with a >= 0, and with some
    # a_y < 0 both are unbounded.
    problem = cp.Problem(cp.Minimize(a @ t), [t >= 0, cp.sum(cp.exp(-t)) <= 1])
    try:
        problem.solve(solver=cp.CLARABEL)
    except cp.SolverError:
        return ConfidenceMinimum(value=None, minimiser=None, outcome=ConfidenceOutcome.NOT_SOLVED)
    if problem.status in (cp.UNBOUNDED, cp.UNBOUNDED_INACCURATE):
        return ConfidenceMinimum(value=-inf, minimiser=None, outcome=ConfidenceOutcome.UNBOUNDED)
    if problem.status != cp.OPTIMAL:
        return ConfidenceMinimum(value=None, minimiser=None, outcome=ConfidenceOutcome.NOT_SOLVED)
    if not a.any():
        return ConfidenceMinimum(value=0.0, minimiser=None, outcome=ConfidenceOutcome.CONSTANT)
    g = np.exp(-t.value)
    return ConfidenceMinimum(
        value=float(problem.value),
        minimiser=tuple((g / g.sum()).tolist()),
        outcome=ConfidenceOutcome.UNIQUE,
    )


def largest_strength(conditional: ExactArray, marginal: ExactArray) -> Fraction:
    r"""Return ``min_y p_y / m_y`` over m_y > 0: the largest lambda with a loss bounded below.

    It is at most 1, and 1 - gamma' of Lemma 1 if p_pi is 0 for some class.

    Parameters
    ----------
    conditional, marginal
        As in :func:`confidence_minimum`.

    Returns
    -------
    Fraction
        The largest admissible strength.

    Raises
    ------
    ValueError
        If ``conditional`` or ``marginal`` are no probabilities or differ in length.

    Notes
    -----
    Source: theory.md C.3. Exact. Cost O(K).

    Examples
    --------
    >>> largest_strength((0.75, 0.25), (0.5, 0.5))
    Fraction(1, 2)

    """
    p, m = _pair(conditional, marginal)
    return min(Fraction(x) / Fraction(y) for x, y in zip(p, m, strict=True) if y > 0)


def clean_posterior(
    likelihoods: ExactArray, corruption: ExactArray, *, proportion: float | Fraction
) -> Numbers:
    r"""Return ``q_i = gamma g_i / (gamma g_i + (1 - gamma) eps_i)``, the main EM's E-step.

    Parameters
    ----------
    likelihoods
        g_i = p_pi(y~_i | x_i), the main network's probability of the observed label, shape (N,).
    corruption
        eps_i = p(y~_i | x_i, s_i = 0), shape (N,), or one number for all.
    proportion
        gamma in [0, 1], share of clean labels.

    Returns
    -------
    array
        p(s_i = 1 | x_i, y~_i), shape (N,).

    Raises
    ------
    ValueError
        If a number lies outside [0, 1], or the observed label of a sample has probability 0.

    Notes
    -----
    Source: LNL-flywheel paper, Eq. (4); theory.md C.4. Exact. Cost O(N).

    Examples
    --------
    >>> print(clean_posterior([Fraction(1, 2)], Fraction(1, 6), proportion=Fraction(1, 2)))
    [Fraction(3, 4)]

    """
    g = _unit_numbers(likelihoods, "likelihoods")
    everywhere = np.full(g.shape, corruption) if np.ndim(corruption) == 0 else corruption
    g, eps = in_one_type(g, _unit_numbers(everywhere, "corruption", g.size))
    (given,) = _unit_numbers([proportion], "proportion")
    share = Fraction(given) if g.dtype == object else float(given)
    clean, wrong = share * g, (1 - share) * eps
    impossible = clean + wrong == 0
    if impossible.any():
        msg = f"likelihoods and corruption leave sample {int(impossible.argmax())} impossible."
        raise ValueError(msg)
    posterior: Numbers = clean / (clean + wrong)
    return posterior


def clean_proportion(clean: ExactArray) -> Fraction | float:
    r"""Return ``gamma = (1/N) sum_i q_i``, the main EM's M-step for the mixture weight.

    It maximises ``sum_i q_i log gamma + (1 - q_i) log(1 - gamma)``.

    Parameters
    ----------
    clean
        q_i = p(s_i = 1 | x_i, y~_i), shape (N,).

    Returns
    -------
    Fraction or float
        The share of clean labels.

    Raises
    ------
    ValueError
        If an entry lies outside [0, 1].

    Notes
    -----
    Source: LNL-flywheel paper, Eq. (6); theory.md C.4. Exact. Cost O(N).

    Examples
    --------
    >>> clean_proportion([1.0, 0.25, 0.25])
    0.5

    """
    share = _unit_numbers(clean, "clean").mean()
    return share if isinstance(share, Fraction) else float(share)


def class_posterior(clean: ExactArray, labels: ArrayLike, auxiliary: ExactArray) -> Numbers:
    r"""Return ``q_i(y) = q_i [y = y~_i] + (1 - q_i) f_i(y)``, the auxiliary EM's E-step as printed.

    Parameters
    ----------
    clean
        q_i, shape (N,), probabilities that the label is clean.
    labels
        y~_i, shape (N,), integers in [0, K).
    auxiliary
        f(y | x_i), shape (N, K).

    Returns
    -------
    array
        Shape (N, K), rows of probabilities.

    Raises
    ------
    ValueError
        If shapes do not match, a label is unknown, or numbers are no probabilities.

    Notes
    -----
    Source: LNL-flywheel paper, Eq. (11); theory.md C.4. The posterior of the true class iff a wrong
    label says nothing about it: iff ``T_c[y, y~_i]`` is the same for all y with f_i(y) > 0.
    Cost O(N K).

    Examples
    --------
    >>> print(class_posterior([0.5], [0], [[0.5, 0.5]]))
    [[0.75 0.25]]

    """
    f = probability_rows(auxiliary, "auxiliary")
    y = class_indices(labels, *f.shape)
    f, q = in_one_type(f, _unit_numbers(clean, "clean", len(f)))
    posterior: Numbers = (1 - q)[:, None] * f
    posterior[np.arange(len(f)), y] += q
    return posterior


def corruption_matrix(mass: ExactArray, labels: ArrayLike) -> Numbers:
    r"""Return ``T[y, c] = sum_{i : y~_i = c} mass_i(y) / sum_i mass_i(y)``, rows that sum to 1.

    The maximiser of ``sum_i sum_y mass_i(y) log T[y, y~_i]``: T of the paper for the posterior of
    the true class, T_c for its part ``(1 - q_i) f_i(y)``.

    Parameters
    ----------
    mass
        Shape (N, K), in [0, 1].
    labels
        y~_i, shape (N,), integers in [0, K).

    Returns
    -------
    array
        Shape (K, K), p(y~ = c | true class y).

    Raises
    ------
    ValueError
        If a class has no mass at all, so that every row would maximise; if shapes do not match or
        entries lie outside [0, 1].

    Notes
    -----
    Source: LNL-flywheel paper, Section 3.3; theory.md C.4. Exact. Cost O(N K).

    Examples
    --------
    >>> print(corruption_matrix([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]], [0, 0, 1]))
    [[0.75 0.25]
     [0.5  0.5 ]]

    """
    q = _array_of_unit_numbers(mass, "mass")
    if q.ndim != 2 or 0 in q.shape:
        msg = f"mass must be a matrix, got shape {q.shape}."
        raise ValueError(msg)
    y = class_indices(labels, *q.shape)
    total = q.sum(axis=0)
    if (total == 0).any():
        msg = f"mass must not be 0 for a whole class, got class {int((total == 0).argmax())}."
        raise ValueError(msg)
    by_label = np.stack([q[y == c].sum(axis=0) for c in range(q.shape[1])], axis=1)
    matrix: Numbers = by_label / total[:, None]
    return matrix


def corruption_likelihood(
    auxiliary: ExactArray, corruption: ExactArray, labels: ArrayLike
) -> Numbers:
    r"""Return ``eps_i = sum_y f_i(y) T_c[y, y~_i]``, the chance of the label if it is corrupted.

    Parameters
    ----------
    auxiliary
        f(y | x_i), shape (N, K).
    corruption
        T_c, shape (K, K), rows of probabilities.
    labels
        y~_i, shape (N,), integers in [0, K).

    Returns
    -------
    array
        Shape (N,), probabilities.

    Raises
    ------
    ValueError
        If shapes do not match, rows are no probabilities, or a label is unknown.

    Notes
    -----
    Source: LNL-flywheel paper, Eq. (14); theory.md C.4. Exact. Cost O(N K).

    Examples
    --------
    >>> print(corruption_likelihood([[0.5, 0.5]], [[1.0, 0.0], [0.5, 0.5]], [0]))
    [0.75]

    """
    f = probability_rows(auxiliary, "auxiliary")
    matrix = probability_rows(corruption, "corruption")
    k = f.shape[1]
    if matrix.shape != (k, k):
        msg = f"corruption must have shape ({k}, {k}), got {matrix.shape}."
        raise ValueError(msg)
    f, matrix = in_one_type(f, matrix)
    likelihood: Numbers = (f * matrix[:, class_indices(labels, len(f), k)].T).sum(axis=1)
    return likelihood


def _log(share: Fraction) -> float:
    """Return the logarithm of a fraction that may be too small for a float."""
    return log(share.numerator) - log(share.denominator)


def _pair(conditional: ExactArray, marginal: ExactArray) -> tuple[Numbers, Numbers]:
    """Return two distributions over the same classes."""
    p, m = _distribution(conditional, "conditional"), _distribution(marginal, "marginal")
    if p.shape != m.shape:
        msg = f"marginal must have shape {p.shape} like conditional, got {m.shape}."
        raise ValueError(msg)
    return p, m


def _distribution(given: ExactArray, name: str) -> Numbers:
    """Return one distribution."""
    numbers = np.asarray(given)
    if numbers.ndim != 1:
        msg = f"{name} must be a vector, got shape {numbers.shape}."
        raise ValueError(msg)
    row: Numbers = probability_rows(numbers[None], name)[0]
    return row


def _coefficients(
    conditional: ExactArray, marginal: ExactArray, strength: float | Fraction
) -> Sequence[Fraction]:
    """Return p_y - lambda m_y, exactly."""
    p, m = _pair(conditional, marginal)
    if isinstance(strength, bool) or not isinstance(strength, Real) or not 0 <= strength < inf:
        msg = f"strength must be a finite number of at least 0, got {strength!r}."
        raise ValueError(msg)
    price = Fraction(strength) if isinstance(strength, Rational) else Fraction(float(strength))
    return [Fraction(x) - price * Fraction(y) for x, y in zip(p, m, strict=True)]


def _array_of_unit_numbers(given: ExactArray, name: str) -> Numbers:
    """Return an array of numbers in [0, 1]: fractions, or float64."""
    numbers = numbers_by_index(given, name)
    if np.asarray(given).dtype.kind == "f":
        numbers = numbers.astype(np.float64)
    bad = ~((numbers >= 0) & (numbers <= 1))
    if bad.any():
        index = tuple(np.argwhere(bad)[0].tolist())
        msg = f"{name} must lie in [0, 1], got {numbers[index]} at {index}."
        raise ValueError(msg)
    return numbers


def _unit_numbers(given: ExactArray, name: str, n: int | None = None) -> Numbers:
    """Return a vector of numbers in [0, 1], of a length if one is given."""
    numbers = _array_of_unit_numbers(given, name)
    if numbers.ndim != 1 or numbers.size != (numbers.size if n is None else n) or not numbers.size:
        expected = "a non-empty vector" if n is None else f"of shape ({n},)"
        msg = f"{name} must be {expected}, got shape {numbers.shape}."
        raise ValueError(msg)
    return numbers
