"""Image data as uint8 arrays: scikit-learn's embedded digits, MNIST, and its digits 0, 1, 2.

MNIST is looked for in the folder that RRM_DATA names (``mnist.npz``), then fetched from OpenML by
scikit-learn, which caches it; if both fail the error names both.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from experiments.noise import Labels

Images = NDArray[np.uint8]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")

# Digits 0..9 in the official MNIST files, whichever way they were obtained.
MNIST_TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
MNIST_TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
# scikit-learn's digits come sorted by writer; a third of them, shuffled once, is the test set.
DIGITS_TEST = 597
DIGITS_SHUFFLE_SEED = 0
DIGITS_LARGEST_PIXEL = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Images (N, rows, columns) uint8 and labels (N,) int64, for training and test.

    ``largest_pixel`` is the value of full ink. Constructing one checks shapes, types and labels.
    """

    name: str
    x_train: Images
    y_train: Labels
    x_test: Images
    y_test: Labels
    n_classes: int
    largest_pixel: int

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together, naming the array."""
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if x.ndim != 3 or x.dtype != np.uint8 or not x.size:
                msg = (
                    f"x_{part} must be uint8 of shape (N, rows, columns), got {x.dtype} {x.shape}."
                )
                raise ValueError(msg)
            if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
                msg = f"y_{part} must be integers of shape ({len(x)},), got {y.dtype} {y.shape}."
                raise ValueError(msg)
            if y.min() < 0 or y.max() >= self.n_classes:
                msg = f"y_{part} must lie in 0..{self.n_classes - 1}, got {y.min()}..{y.max()}."
                raise ValueError(msg)
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            msg = (
                f"x_test must hold images of {self.x_train.shape[1:]}, got {self.x_test.shape[1:]}."
            )
            raise ValueError(msg)

    @property
    def image(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.x_train.shape[1], self.x_train.shape[2]

    @property
    def sha256(self) -> str:
        """Digest of the four arrays, stored with every result."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()


@cache
def load(name: str) -> Data:
    """Return the data set of that name.

    Raises
    ------
    ValueError
        If the name is unknown (the message lists the known ones) or a file holds something else.
    FileNotFoundError
        If MNIST is neither in RRM_DATA nor to be had from OpenML.

    """
    if name not in DATASETS:
        msg = f"unknown data set {name!r}; known: {', '.join(DATASETS)}."
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
        largest_pixel=DIGITS_LARGEST_PIXEL,
    )


def _mnist() -> Data:
    """Return MNIST in its official order: 60,000 for training, 10,000 for test."""
    folder = os.environ.get("RRM_DATA")
    path = Path(folder, "mnist.npz") if folder else None
    if path is not None and path.is_file():
        source = str(path)
        arrays = _read(path)
    else:
        source = "OpenML (mnist_784, version 1)"
        arrays = _openml_mnist(path)
    data = Data(
        name="mnist",
        x_train=arrays["x_train"],
        y_train=arrays["y_train"].astype(np.int64),
        x_test=arrays["x_test"],
        y_test=arrays["y_test"].astype(np.int64),
        n_classes=10,
        largest_pixel=255,
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


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Return the four arrays of an npz file, or raise a ValueError that names the file."""
    try:
        # numpy leaves a damaged file open if it opened it itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        msg = f"{path} is no npz file, or damaged: {error}."
        raise ValueError(msg) from error
    for key in ARRAYS:
        if key not in arrays:
            msg = f"{path} must hold the array {key}, got {', '.join(arrays)}."
            raise ValueError(msg)
    return arrays


def _openml_mnist(path: Path | None) -> dict[str, NDArray[Any]]:
    """Return MNIST's four arrays from OpenML, or say where they were looked for in vain."""
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml(
            "mnist_784", version=1, as_frame=False, parser="liac-arff", n_retries=0
        )
    except (OSError, ValueError) as error:
        tried = f"no file {path}" if path else "RRM_DATA is not set"
        msg = (
            f"MNIST not found: {tried}, and scikit-learn's fetch_openml failed ({error}). Set "
            "RRM_DATA to a folder with mnist.npz (x_train, y_train, x_test, y_test), or connect "
            "to the internet once."
        )
        raise FileNotFoundError(msg) from error
    x = bunch.data.reshape(-1, 28, 28).astype(np.uint8)
    y = bunch.target.astype(np.int64)
    split = sum(MNIST_TRAIN_COUNTS)
    return {"x_train": x[:split], "y_train": y[:split], "x_test": x[split:], "y_test": y[split:]}


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
        largest_pixel=full.largest_pixel,
    )


DATASETS: dict[str, Callable[[], Data]] = {"digits": _digits, "mnist3": _mnist3, "mnist": _mnist}
