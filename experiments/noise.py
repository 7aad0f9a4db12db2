"""Label noise: exactly floor(C N) labels, each replaced.

By a uniform other class (`symmetric`), by one that a kernel draws (`by_kernel`), or by a uniform
one that may be its own (`resampled`). C is `noise_rate`.
Every random choice of a run has its own stream, derived from the seed alone, so two methods with
one seed see the same wrong labels.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from rrm_theory._checks import fraction_of_samples

Labels = NDArray[np.int64]

# ICLR paper, Table 9: out of 10,000 wrong labels of the row's digit, those of the column's. As
# printed, rows sum to 9,997 .. 10,001.
TABLE_9 = np.array(
    [
        [0, 769, 769, 1538, 0, 769, 3846, 0, 1538, 769],
        [0, 0, 3333, 1111, 0, 1111, 1111, 0, 3333, 0],
        [968, 645, 0, 2581, 323, 0, 968, 1935, 2581, 0],
        [0, 0, 1250, 0, 0, 1250, 0, 1250, 6250, 0],
        [1111, 370, 741, 741, 0, 741, 2222, 370, 1111, 2593],
        [508, 169, 0, 6271, 169, 0, 1525, 0, 1017, 339],
        [2353, 1765, 588, 588, 588, 1765, 0, 0, 2353, 0],
        [500, 2250, 2000, 1250, 0, 0, 0, 0, 2000, 2000],
        [1071, 357, 1071, 3571, 1071, 714, 714, 1071, 0, 357],
        [638, 1702, 0, 2128, 1702, 1702, 213, 851, 1064, 0],
    ]
)


class Stream(IntEnum):
    """Names of the independent random streams of a run; the numbers are part of its results."""

    TRAIN_NOISE = 0
    VALIDATION_NOISE = 1
    TEST_HALVES = 2
    INITIALISATION = 3
    BATCHES = 4
    GLOBAL = 5
    CLASS_MAP = 6
    META_NOISE = 7
    META = 8
    AUXILIARY = 9


def generator(seed: int, stream: Stream) -> np.random.Generator:
    """Return the numpy generator of one stream of one seed."""
    return np.random.default_rng([seed, int(stream)])


def torch_seed(seed: int, stream: Stream) -> int:
    """Return a 32-bit seed for torch, of one stream of one seed."""
    return int(np.random.SeedSequence([seed, int(stream)]).generate_state(1)[0])


def symmetric(
    labels: Labels, *, noise_rate: float, n_classes: int, rng: np.random.Generator
) -> Labels:
    """Return the labels with exactly ``floor(C N)`` of them moved to a uniform *other* class.

    Parameters
    ----------
    labels
        Clean labels in 0..n_classes - 1, shape (N,).
    noise_rate
        C in [0, 1), read as the decimal that denotes it, so 0.29 of 100 labels are 29.
    n_classes
        Number of classes K >= 2.
    rng
        Source of the samples chosen and of their new classes.

    Returns
    -------
    Labels
        A contaminated copy, shape (N,).

    Raises
    ------
    ValueError
        If a label, ``noise_rate`` or ``n_classes`` is outside its domain.

    Notes
    -----
    Source: ICLR paper, Section 4.2 and Appendix C: "uniform" noise. The samples are drawn
    without replacement. Cost O(N).

    Examples
    --------
    >>> noisy = symmetric(np.zeros(10, int), noise_rate=0.3, n_classes=2,
    ...                   rng=np.random.default_rng(0))
    >>> int(noisy.sum())  # three of ten, and the only other class is 1
    3

    """
    if n_classes < 2:
        msg = f"n_classes must be at least 2, got {n_classes}."
        raise ValueError(msg)
    wrong = _chosen(labels, noise_rate, n_classes, rng)
    noisy = labels.copy()
    # A shift by 1..K-1 modulo K is a uniform draw from the other classes.
    noisy[wrong] = (labels[wrong] + rng.integers(1, n_classes, size=len(wrong))) % n_classes
    return noisy


def by_kernel(
    labels: Labels,
    *,
    noise_rate: float,
    kernel: NDArray[np.integer] | NDArray[np.floating],
    rng: np.random.Generator,
) -> Labels:
    """Return the labels with exactly ``floor(C N)`` of them moved, from y to z by ``kernel[y, z]``.

    Parameters
    ----------
    labels
        Clean labels in 0..K - 1, shape (N,).
    noise_rate
        C in [0, 1), read as the decimal that denotes it.
    kernel
        Weights >= 0 of the new classes, shape (K, K), with a diagonal of zeros; each row is
        normalised to sum to 1.
    rng
        Source of the samples chosen and of their new classes.

    Returns
    -------
    Labels
        A contaminated copy, shape (N,).

    Raises
    ------
    ValueError
        If a label, ``noise_rate`` or ``kernel`` is outside its domain.

    Notes
    -----
    Source: ICLR paper, Table 9 (`TABLE_9`). The samples are drawn without replacement. Cost O(N K).

    Examples
    --------
    >>> noisy = by_kernel(np.array([0, 1, 2, 0]), noise_rate=0.99,
    ...                   kernel=np.array([[0, 1, 0], [0, 0, 5], [1, 0, 0]]),
    ...                   rng=np.random.default_rng(0))
    >>> int((noisy != [0, 1, 2, 0]).sum())  # three of four move: 0 to 1, 1 to 2, 2 to 0
    3

    """
    kernel = np.asarray(kernel, dtype=np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        msg = f"kernel must be a square matrix, got shape {kernel.shape}."
        raise ValueError(msg)
    total = kernel.sum(axis=1)
    if not ((kernel >= 0).all() and (total > 0).all() and np.isfinite(total).all()):
        msg = "kernel must be non-negative and finite, with a positive entry in every row."
        raise ValueError(msg)
    if kernel.diagonal().any():
        msg = f"kernel must have zeros on its diagonal, got {kernel.diagonal().tolist()}."
        raise ValueError(msg)
    wrong = _chosen(labels, noise_rate, len(kernel), rng)
    # Inversion: the first class whose cumulated weight exceeds a uniform draw of the row's total.
    cumulated = kernel.cumsum(axis=1)[labels[wrong]]
    drawn = rng.random(len(wrong)) * cumulated[:, -1]
    noisy = labels.copy()
    noisy[wrong] = (cumulated > drawn[:, None]).argmax(axis=1)
    return noisy


def resampled(
    labels: Labels, *, noise_rate: float, n_classes: int, rng: np.random.Generator
) -> Labels:
    """Return the labels with exactly ``floor(C N)`` drawn anew from *all* classes, their own too.

    So about ``C / K`` of all labels are drawn anew and stay right.

    Parameters
    ----------
    labels, noise_rate, n_classes, rng
        As for `symmetric`.

    Returns
    -------
    Labels
        A copy, shape (N,).

    Raises
    ------
    ValueError
        If a label, ``noise_rate`` or ``n_classes`` is outside its domain.

    Notes
    -----
    Source: RMNW-Net paper, Section 2: "uniform" noise, under which a label survives with
    probability ``1 - C + C / K``. The samples are drawn without replacement. Cost O(N).

    Examples
    --------
    >>> labels = np.zeros(1000, int)
    >>> noisy = resampled(labels, noise_rate=0.5, n_classes=2, rng=np.random.default_rng(0))
    >>> 200 < int(noisy.sum()) < 300  # half of those drawn anew
    True

    """
    if n_classes < 2:
        msg = f"n_classes must be at least 2, got {n_classes}."
        raise ValueError(msg)
    drawn = _chosen(labels, noise_rate, n_classes, rng)
    noisy = labels.copy()
    noisy[drawn] = rng.integers(n_classes, size=len(drawn))
    return noisy


def class_map(n_classes: int, targets: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a kernel that moves every class to ``targets`` random other ones, equally likely.

    Source: RMNW-Net paper, Section 2: "flip" noise with one target, "flip2" with two. The
    map is drawn once, so that all samples of a run share it.

    Examples
    --------
    >>> kernel = class_map(4, 2, np.random.default_rng(0))
    >>> kernel.sum(axis=1).tolist(), kernel.diagonal().tolist()
    ([2, 2, 2, 2], [0, 0, 0, 0])

    """
    if not 1 <= targets < n_classes:
        msg = f"targets must lie in 1..{n_classes - 1}, got {targets}."
        raise ValueError(msg)
    kernel = np.zeros((n_classes, n_classes), dtype=np.int64)
    for label in range(n_classes):
        others = np.delete(np.arange(n_classes), label)
        kernel[label, rng.choice(others, size=targets, replace=False)] = 1
    return kernel


def _chosen(
    labels: Labels, noise_rate: float, n_classes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the positions of the ``floor(C N)`` labels that become wrong."""
    if labels.size and (labels.min() < 0 or labels.max() >= n_classes):
        msg = f"labels must lie in 0..{n_classes - 1}, got {labels.min()}..{labels.max()}."
        raise ValueError(msg)
    n_wrong = int(fraction_of_samples(noise_rate, "noise_rate") * labels.size)
    return rng.choice(labels.size, size=n_wrong, replace=False)
