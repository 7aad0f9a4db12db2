"""Symmetric label noise: exactly floor(C N) labels, each replaced by another class.

C is `noise_rate`. Every random choice of a run has its own stream, derived from the seed alone, so
two methods with one seed see the same wrong labels.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from rrm_theory._checks import fraction_of_samples

Labels = NDArray[np.int64]


class Stream(IntEnum):
    """Names of the independent random streams of a run; the numbers are part of its results."""

    TRAIN_NOISE = 0
    VALIDATION_NOISE = 1
    TEST_HALVES = 2
    INITIALISATION = 3
    BATCHES = 4


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
    if labels.size and (labels.min() < 0 or labels.max() >= n_classes):
        msg = f"labels must lie in 0..{n_classes - 1}, got {labels.min()}..{labels.max()}."
        raise ValueError(msg)
    n_wrong = int(fraction_of_samples(noise_rate, "noise_rate") * labels.size)
    wrong = rng.choice(labels.size, size=n_wrong, replace=False)
    noisy = labels.copy()
    # A shift by 1..K-1 modulo K is a uniform draw from the other classes.
    noisy[wrong] = (labels[wrong] + rng.integers(1, n_classes, size=n_wrong)) % n_classes
    return noisy
