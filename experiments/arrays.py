"""A data set as arrays, checked once: samples, labels, and the labels somebody got wrong."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from experiments.noise import Labels

Samples = NDArray[Any]
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Samples (N, ...), uint8 or floats, and labels (N,) int64, for training and test.

    Images are (N, rows, columns) or (N, rows, columns, channels). Constructing one checks shapes,
    types and labels, and names the array.

    Attributes
    ----------
    y_train, y_test
        The right labels, as far as anybody knows.
    n_classes
        Labels are 0..n_classes - 1.
    ink
        The smallest and the largest value that a sample can take.
    y_given
        What the training samples are labelled with instead, if their labels are wrong already.

    """

    name: str
    x_train: Samples
    y_train: Labels
    x_test: Samples
    y_test: Labels
    n_classes: int
    ink: tuple[float, float]
    y_given: Labels | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together, naming the array."""
        for part in ("train", "test"):
            x = getattr(self, f"x_{part}")
            kind = x.dtype.kind == "f" or x.dtype == np.uint8
            if x.ndim < 2 or not kind or not x.size:
                msg = (
                    f"x_{part} must be uint8 or floats of shape (N, ...), got {x.dtype} {x.shape}."
                )
                raise ValueError(msg)
            if not np.isfinite(x).all():
                where = np.unravel_index(int(np.argmin(np.isfinite(x))), x.shape)
                msg = f"x_{part} must be finite, got {x[where]} in sample {where[0]}."
                raise ValueError(msg)
            self._check_labels(f"y_{part}", len(x))
        if self.y_given is not None:
            self._check_labels("y_given", len(self.x_train))
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            msg = (
                f"x_test must hold samples of {self.x_train.shape[1:]} like x_train, "
                f"got {self.x_test.shape[1:]}."
            )
            raise ValueError(msg)
        if self.x_train.dtype != self.x_test.dtype:
            msg = f"x_test must be {self.x_train.dtype} like x_train, got {self.x_test.dtype}."
            raise ValueError(msg)

    def _check_labels(self, name: str, n: int) -> None:
        """Refuse labels that are not n integers in 0..K - 1."""
        y = getattr(self, name)
        if y.shape != (n,) or y.dtype.kind not in "iu":
            msg = f"{name} must be integers of shape ({n},), got {y.dtype} {y.shape}."
            raise ValueError(msg)
        if y.min() < 0 or y.max() >= self.n_classes:
            msg = f"{name} must lie in 0..{self.n_classes - 1}, got {y.min()}..{y.max()}."
            raise ValueError(msg)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample."""
        shape: tuple[int, ...] = self.x_train.shape[1:]
        return shape

    @property
    def sha256(self) -> str:
        """Digest of the arrays, stored with every result."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        if self.y_given is not None:
            digest.update(np.ascontiguousarray(self.y_given).tobytes())
        return digest.hexdigest()


def read(path: Path, required: tuple[str, ...] = ARRAYS) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file, or raise a ValueError that names the file and the array."""
    arrays: dict[str, NDArray[Any]] = {}
    key = None
    try:
        # numpy leaves a damaged file open if it opened it itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            for key in file.files:
                arrays[key] = np.asarray(file[key])
    except (OSError, ValueError, EOFError, TypeError, BadZipFile, zlib.error) as error:
        where = "" if key is None else f" (array {key})"
        msg = f"{path} is no npz file of numbers, or damaged{where}: {error}."
        raise ValueError(msg) from error
    for key in required:
        if key not in arrays:
            msg = f"{path} must hold the array {key}, got {', '.join(arrays)}."
            raise ValueError(msg)
    return arrays
