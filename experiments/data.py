"""Data sets by name: embedded digits, MNIST, CIFAR-10, CIFAR-10N, IMDb, or a user's npz file.

MNIST and CIFAR-10 are looked for in the folder that RRM_DATA names, then fetched from OpenML by
scikit-learn, which caches them; if both fail the error names both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from experiments.arrays import Data
from experiments.cifar import HUMAN_NOISE_RATES, cifar10, cifar10n
from experiments.own import own_data
from experiments.reviews import imdb, imdb_tokens
from experiments.sources import images
from experiments.spec import OWN_DATA

# Digits 0..9 in the official MNIST files, whichever way they were obtained.
MNIST_TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
MNIST_TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
# scikit-learn's digits come sorted by writer; a third of them, shuffled once, is the test set.
DIGITS_TEST = 597
DIGITS_SHUFFLE_SEED = 0
DIGITS_LARGEST_PIXEL = 16


@cache
def load(name: str) -> Data:
    """Return the data set of that name, or of a user's npz file.

    Raises
    ------
    ValueError
        If the name is unknown (the message lists the known ones) or a file holds something else.
    FileNotFoundError
        If the data are neither in RRM_DATA nor to be had from OpenML, or there is no such file.

    """
    if name.endswith(OWN_DATA):
        return own_data(name)
    if name not in DATASETS:
        msg = f"unknown data set {name!r}; known: {', '.join(DATASETS)}, or a file *{OWN_DATA}."
        raise ValueError(msg)
    return DATASETS[name]()


def _digits() -> Data:
    """Return scikit-learn's 1,797 digits of 8 x 8 pixels: 1,200 for training, 597 for test."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(DIGITS_SHUFFLE_SEED).permutation(len(bunch.target))
    x = bunch.images[order].astype(np.uint8)
    y = bunch.target[order].astype(np.int64)
    return Data(
        name="digits",
        x_train=x[:-DIGITS_TEST],
        y_train=y[:-DIGITS_TEST],
        x_test=x[-DIGITS_TEST:],
        y_test=y[-DIGITS_TEST:],
        n_classes=10,
        ink=(0, DIGITS_LARGEST_PIXEL),
    )


def _mnist() -> Data:
    """Return MNIST in its official order: 60,000 for training, 10,000 for test."""
    source, arrays = images("MNIST", "mnist.npz", "mnist_784", (28, 28), sum(MNIST_TRAIN_COUNTS))
    data = Data(
        name="mnist",
        x_train=arrays["x_train"],
        y_train=arrays["y_train"].astype(np.int64),
        x_test=arrays["x_test"],
        y_test=arrays["y_test"].astype(np.int64),
        n_classes=10,
        ink=(0, 255),
    )
    for part, y, expected in (
        ("train", data.y_train, MNIST_TRAIN_COUNTS),
        ("test", data.y_test, MNIST_TEST_COUNTS),
    ):
        counts = tuple(np.bincount(y, minlength=10).tolist())
        if counts != expected:
            msg = f"y_{part} from {source} is not MNIST's: digit counts {counts}, not {expected}."
            raise ValueError(msg)
    return data


def _mnist3() -> Data:
    """Return MNIST's digits 0, 1 and 2: 18,623 for training, 3,147 for test."""
    full = load("mnist")
    train, test = full.y_train < 3, full.y_test < 3
    return Data(
        name="mnist3",
        x_train=full.x_train[train],
        y_train=full.y_train[train],
        x_test=full.x_test[test],
        y_test=full.y_test[test],
        n_classes=3,
        ink=full.ink,
    )


DATASETS: dict[str, Callable[[], Data]] = {
    "digits": _digits,
    "mnist3": _mnist3,
    "mnist": _mnist,
    "cifar10": cifar10,
    **{f"cifar10n_{kind}": partial(cifar10n, kind) for kind in HUMAN_NOISE_RATES},
    "imdb": imdb,
    "imdb_tokens": imdb_tokens,
}
