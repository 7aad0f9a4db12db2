r"""Symmetric losses under label noise: when noisy labels leave a gradient's direction alone.

A label y of K classes becomes c with probability T[y, c] (`transition`). The classifier's
probabilities are p = softmax(z) (`probabilities`), and gradients are with respect to the logits z;
the chain rule carries what is said about them to any parameters. Everything is computed by summing
over the K labels, never by sampling, and in fractions where fractions are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rrm_theory._checks import (
    ExactArray,
    class_indices,
    fraction_up_to_1,
    in_one_type,
    numbers_by_index,
    probability_rows,
    refuse_index,
)

# Of Fractions (dtype object) or of floats, as the caller gave them.
Numbers = NDArray[Any]


class MetaLoss(Enum):
    """The loss of a label under the classifier's probabilities p."""

    ABSOLUTE = "||p - e_y||_1 = 2 (1 - p_y)"
    CROSS_ENTROPY = "-log p_y"


class DirectionOutcome(Enum):
    """Whether noise keeps the gradient's direction; the value is the message."""

    KEPT = "Noisy and clean gradients have the same direction."
    LOST = "The expected noisy gradient is 0, whatever the labels: nothing can be learned from it."
    REVERSED = "The expected noisy gradient points away from the clean one; lower the noise rate."
    NOT_PARALLEL = (
        "The factor depends on the label, or there is none: wrong classes are not equally likely."
    )


@dataclass(frozen=True, kw_only=True)
class Direction:
    """Expected noisy gradient = factor * clean gradient.

    Attributes
    ----------
    factor
        The factor; None if there is none that serves all labels and all probabilities.
    outcome
        What the factor means.

    """

    factor: Fraction | None
    outcome: DirectionOutcome


def uniform_noise(classes: int, *, rate: float | Fraction) -> Numbers:
    r"""Return ``T[y, c] = (1 - eta) [c = y] + eta / K``: noise that may keep the label.

    Parameters
    ----------
    classes
        K >= 2.
    rate
        eta in [0, 1], probability that the label is drawn anew. A float is read as the decimal that
        denotes it.

    Returns
    -------
    array
        Shape (K, K), fractions, rows sum to 1.

    Raises
    ------
    ValueError
        If ``classes`` is no integer >= 2 or ``rate`` is outside [0, 1].

    Notes
    -----
    Source: RMNW-Net paper, Theorem 1; theory.md C.1. Exact. Cost O(K^2).

    Examples
    --------
    >>> print(uniform_noise(2, rate=0.5))
    [[Fraction(3, 4) Fraction(1, 4)]
     [Fraction(1, 4) Fraction(3, 4)]]

    """
    eta, k = fraction_up_to_1(rate, "rate"), _at_least_2(classes)
    return _by_row(
        [[(1 - eta) * (c == y) + eta / k for c in range(k)] for y in range(k)],
    )


def flip_noise(destinations: Sequence[Sequence[int]], *, rate: float | Fraction) -> Numbers:
    r"""Return ``T[y, c] = (1 - eta) [c = y] + (eta / |D_y|) [c in D_y]``: a label flips into D_y.

    One other class for each y is the paper's flip noise, two are flip2, all others flip{K - 1}.

    Parameters
    ----------
    destinations
        For each of the K classes the classes D_y it may flip to, y itself not among them.
    rate
        eta in [0, 1], probability of a flip. A float is read as the decimal that denotes it.

    Returns
    -------
    array
        Shape (K, K), fractions, rows sum to 1.

    Raises
    ------
    ValueError
        If a class has no destination, itself, an unknown or a repeated one; if there are fewer than
        two classes; if ``rate`` is outside [0, 1].

    Notes
    -----
    Source: RMNW-Net paper, Section 3; theory.md C.1. Exact. Cost O(K^2).

    Examples
    --------
    >>> print(flip_noise([[1, 2], [2, 0], [0, 1]], rate=0.5)[0])
    [Fraction(1, 2) Fraction(1, 4) Fraction(1, 4)]

    """
    eta, k = fraction_up_to_1(rate, "rate"), _at_least_2(len(destinations))
    rows = []
    for y, given in enumerate(destinations):
        others = _classes(given, f"destinations[{y}]")
        refuse_index(others, k, f"destinations[{y}]")
        if not others or y in others or len(set(others)) < len(others):
            msg = f"destinations[{y}] must be different classes other than {y}, got {given!r}."
            raise ValueError(msg)
        share = eta / len(others)
        rows.append([1 - eta if c == y else share * (c in others) for c in range(k)])
    return _by_row(rows)


def logit_gradient(
    probabilities: ExactArray,
    labels: ArrayLike,
    *,
    loss: MetaLoss,
    transition: ExactArray | None = None,
) -> Numbers:
    r"""Return ``sum_c T[y_j, c] d loss(c, p_j) / d z_j`` for every sample j.

    With p = softmax(z), ``d/dz = p - e_c`` for cross-entropy and ``2 p_c (p - e_c)`` for the
    absolute error.

    Parameters
    ----------
    probabilities
        p, shape (m, K), rows in the simplex; fractions stay fractions unless ``transition`` holds
        floats.
    labels
        y, shape (m,), integers in [0, K).
    loss
        Which loss.
    transition
        T, shape (K, K), rows in the simplex; the clean labels if not given.

    Returns
    -------
    array
        Shape (m, K), loss units per logit; the expectation over the noise, exactly.

    Raises
    ------
    ValueError
        If rows are no probabilities, shapes do not match, a label is unknown, or ``loss`` is no
        MetaLoss.

    Notes
    -----
    Source: RMNW-Net paper, Theorem 1 and its proof; theory.md C.1. Exact. Cost O(m K^2).

    Examples
    --------
    >>> p = [[Fraction(3, 4), Fraction(1, 4)]]
    >>> print(logit_gradient(p, [0], loss=MetaLoss.ABSOLUTE))
    [[Fraction(-3, 8) Fraction(3, 8)]]
    >>> noise = uniform_noise(2, rate=0.5)  # half of it remains
    >>> print(logit_gradient(p, [0], loss=MetaLoss.ABSOLUTE, transition=noise))
    [[Fraction(-3, 16) Fraction(3, 16)]]

    """
    p = probability_rows(probabilities, "probabilities")
    k = p.shape[1]
    y = class_indices(labels, len(p), k)
    if not isinstance(loss, MetaLoss):
        msg = f"loss must be a MetaLoss, got {loss!r}."
        raise ValueError(msg)
    noise = np.eye(k, dtype=int)
    if transition is not None:
        p, noise = in_one_type(p, _square(transition, k))
    towards = p[:, None, :] - np.eye(k, dtype=int)  # [j, c] is p_j - e_c
    if loss is MetaLoss.ABSOLUTE:
        towards = 2 * p[:, :, None] * towards
    gradient: Numbers = (noise[y][:, :, None] * towards).sum(axis=1)
    return gradient


def direction(transition: ExactArray) -> Direction:
    r"""Return alpha with ``E[noisy gradient] = alpha * clean gradient`` for a symmetric loss.

    It exists for all probabilities and labels iff ``T = alpha I + (1 - alpha)/K``: uniform noise,
    of a rate 1 - alpha that may exceed 1. In `transition` that is ``T[y, y] - T[y, c] = alpha`` for
    all y and c != y.

    Parameters
    ----------
    transition
        T, shape (K, K), rows in the simplex. Floats are compared as they are: pass fractions.

    Returns
    -------
    Direction
        alpha and what it means: 1 - eta under `uniform_noise`, 1 - eta K / (K - 1) if a label flips
        to all others.

    Raises
    ------
    ValueError
        If ``transition`` is not square or its rows are no probabilities.

    Notes
    -----
    Source: RMNW-Net paper, Theorem 1; theory.md C.1. Exact. Cost O(K^2).

    Examples
    --------
    >>> answer = direction(flip_noise([[1, 2], [2, 0], [0, 1]], rate=0.75))
    >>> answer.factor, answer.outcome.name
    (Fraction(-1, 8), 'REVERSED')

    """
    noise = _square(transition)
    factors = {
        Fraction(row[y]) - Fraction(other)
        for y, row in enumerate(noise)
        for c, other in enumerate(row)
        if c != y
    }
    if len(factors) > 1:
        return Direction(factor=None, outcome=DirectionOutcome.NOT_PARALLEL)
    (factor,) = factors
    if factor > 0:
        return Direction(factor=factor, outcome=DirectionOutcome.KEPT)
    outcome = DirectionOutcome.REVERSED if factor < 0 else DirectionOutcome.LOST
    return Direction(factor=factor, outcome=outcome)


@dataclass(frozen=True, kw_only=True)
class BatchVariance:
    """Variance E ||G - E G||^2 of a mini-batch gradient G, and bounds of the noisy one.

    Attributes
    ----------
    clean, noisy
        With the true labels (sigma^2 in the paper) and with labels under uniform noise.
    bound
        clean + 2 eta rho^2 / m, as printed.
    sharp_bound
        clean + eta (2 - eta) rho^2 / m, which is attained.

    """

    clean: Fraction
    noisy: Fraction
    bound: Fraction
    sharp_bound: Fraction


def batch_variance(
    gradients: ExactArray, labels: ArrayLike, *, rate: float | Fraction, batch: int
) -> BatchVariance:
    r"""Return the variances of the mean of m draws, ``noisy <= clean + eta (2 - eta) rho^2 / m``.

    A draw is a sample, uniformly, with replacement, and its label under uniform noise; rho is the
    largest norm among the given gradients.

    Parameters
    ----------
    gradients
        Gradient of sample j under label c, shape (M, K, P), numbers taken exactly. The loss is
        symmetric: ``sum_c gradients[j, c] = 0``.
    labels
        True labels, shape (M,).
    rate
        eta in [0, 1]. A float is read as the decimal that denotes it.
    batch
        m >= 1, draws per mini-batch.

    Returns
    -------
    BatchVariance
        Both variances, the paper's bound and ours.

    Raises
    ------
    ValueError
        If the gradients of a sample do not sum to 0 exactly; if shapes do not match, a label is
        unknown, ``rate`` is outside [0, 1] or ``batch`` is no positive integer.

    Notes
    -----
    Source: RMNW-Net paper, Theorem 2; theory.md C.2. Exact, by enumeration. Cost O(M K P).

    Examples
    --------
    >>> v = batch_variance([[[1], [-1]]], [0], rate=0.5, batch=1)  # 1 w. p. 3/4, -1 w. p. 1/4
    >>> v.clean, v.noisy, v.bound, v.sharp_bound
    (Fraction(0, 1), Fraction(3, 4), Fraction(1, 1), Fraction(3, 4))

    """
    eta = fraction_up_to_1(rate, "rate")
    if isinstance(batch, bool) or not isinstance(batch, Integral) or batch < 1:
        msg = f"batch must be an integer of at least 1, got {batch!r}."
        raise ValueError(msg)
    g = numbers_by_index(gradients, "gradients")
    if g.ndim != 3 or 0 in g.shape or g.shape[1] < 2:
        msg = f"gradients must have shape (M, K >= 2, P), got {g.shape}."
        raise ValueError(msg)
    samples, classes, _ = g.shape
    y = class_indices(labels, samples, classes)
    if (g.sum(axis=1) != 0).any():
        j = int((g.sum(axis=1) != 0).any(axis=1).argmax())
        msg = f"gradients must sum to 0 over the classes, got {g[j].sum(axis=0)} for sample {j}."
        raise ValueError(msg)
    squares = (g * g).sum(axis=2)
    uniform = uniform_noise(classes, rate=eta)[y]
    certain = np.eye(classes, dtype=int)[y]

    def variance(probability: Numbers) -> Fraction:
        mean = (probability[:, :, None] * g).sum(axis=(0, 1)) / samples
        second = (probability * squares).sum() / samples
        return Fraction(second - (mean * mean).sum()) / batch

    clean, largest = variance(certain), Fraction(squares.max())
    return BatchVariance(
        clean=clean,
        noisy=variance(uniform),
        bound=clean + 2 * eta * largest / batch,
        sharp_bound=clean + eta * (2 - eta) * largest / batch,
    )


def _at_least_2(classes: int) -> int:
    """Return a number of classes, or raise a ValueError that shows it."""
    if isinstance(classes, bool) or not isinstance(classes, Integral) or classes < 2:
        msg = f"classes must be an integer of at least 2, got {classes!r}."
        raise ValueError(msg)
    return int(classes)


def _classes(given: Sequence[int], name: str) -> list[int]:
    """Return integers, or raise a ValueError that shows what is none."""
    try:
        others = list(given)
    except TypeError as error:
        msg = f"{name} must be a sequence of classes, got {given!r}."
        raise ValueError(msg) from error
    for c in others:
        if isinstance(c, bool) or not isinstance(c, Integral):
            msg = f"{name} must hold integers, got {c!r}."
            raise ValueError(msg)
    return [int(c) for c in others]


def _by_row(rows: list[list[Fraction]]) -> Numbers:
    """Return a matrix of fractions."""
    matrix = np.empty((len(rows), len(rows[0])), dtype=object)
    matrix[:] = rows
    return matrix


def _square(transition: ExactArray, k: int | None = None) -> Numbers:
    """Return a checked transition matrix."""
    noise = probability_rows(transition, "transition")
    size = noise.shape[1] if k is None else k
    if noise.shape != (size, size) or size < 2:
        msg = f"transition must have shape (K, K), K = {size} >= 2, got {noise.shape}."
        raise ValueError(msg)
    return noise
