"""A run's samples as tensors: contaminated training labels, and the folds that select an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.data import Data, Images
from experiments.noise import Labels, Stream, generator, symmetric
from experiments.spec import Run
from rrm_theory._checks import fraction_of_samples


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """Noisy validation labels that select an epoch, and clean test labels that score it.

    Both name their samples by position in :attr:`Problem.x_eval`.
    """

    validation: Tensor
    validation_labels: Tensor
    test: Tensor
    test_labels: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """What the training loop sees.

    Attributes
    ----------
    x, labels
        Training images (N, rows, columns) float32 and contaminated labels (N,) int64.
    contaminated
        Which of the labels are wrong, bool (N,); for statistics only, no method sees it.
    x_eval
        Images that are classified after every epoch.
    folds
        One fold if validation samples are held out. Otherwise two: the contaminated labels of
        each half of the test set select the epoch at which the other half is scored, so that no
        training sample is given up and no test label selects its own score.

    """

    x: Tensor
    labels: Tensor
    contaminated: NDArray[np.bool_]
    x_eval: Tensor
    folds: tuple[Fold, ...]
    n_classes: int
    image: tuple[int, int]


def problem(run: Run, data: Data) -> Problem:
    """Return the run's samples; the wrong labels depend on data, noise rate and seed alone.

    Raises
    ------
    ValueError
        If ``train_samples`` or ``validation`` ask for what the data do not have.

    """
    if run.train_samples is not None and run.train_samples > len(data.y_train):
        msg = f"train_samples must be at most {len(data.y_train)}, got {run.train_samples}."
        raise ValueError(msg)
    x, y = data.x_train[: run.train_samples], data.y_train[: run.train_samples]
    held_out = int(fraction_of_samples(run.validation, "validation") * len(y))
    if run.validation and not held_out:
        msg = f"validation must hold out a sample of {len(y)}, or be 0; got {run.validation!r}."
        raise ValueError(msg)
    n = len(y) - held_out
    scale = _normalisation(run, x[:n], data.largest_pixel)

    def contaminate(labels: Labels, stream: Stream) -> Labels:
        return symmetric(
            labels,
            noise_rate=run.noise_rate,
            n_classes=data.n_classes,
            rng=generator(run.seed, stream),
        )

    noisy = contaminate(y[:n], Stream.TRAIN_NOISE)
    tests = np.arange(len(data.y_test))
    if held_out:
        x_eval = np.concatenate((data.x_test, x[n:]))
        parts = [(len(tests) + np.arange(held_out), y[n:], tests)]
    else:
        x_eval = data.x_test
        shuffled = generator(run.seed, Stream.TEST_HALVES).permutation(tests)
        halves = np.sort(shuffled[: len(tests) // 2]), np.sort(shuffled[len(tests) // 2 :])
        parts = [(a, data.y_test[a], b) for a, b in (halves, halves[::-1])]
    folds = tuple(
        Fold(
            validation=torch.from_numpy(validation),
            validation_labels=torch.from_numpy(contaminate(clean, Stream.VALIDATION_NOISE)),
            test=torch.from_numpy(test),
            test_labels=torch.from_numpy(data.y_test[test]),
        )
        for validation, clean, test in parts
    )
    return Problem(
        x=_to_tensor(x[:n], scale),
        labels=torch.from_numpy(noisy),
        contaminated=noisy != y[:n],
        x_eval=_to_tensor(x_eval, scale),
        folds=folds,
        n_classes=data.n_classes,
        image=data.image,
    )


def _normalisation(run: Run, x: Images, largest_pixel: int) -> tuple[float, float]:
    """Return (shift, scale) in pixels: of all training pixels, or (0, full ink)."""
    if run.normalisation == "unit":
        return 0.0, float(largest_pixel)
    return float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64))


def _to_tensor(x: Images, normalisation: tuple[float, float]) -> Tensor:
    """Return ``(x - shift) / scale`` as float32, computed in float64."""
    shift, scale = normalisation
    # Pixels take 256 values, so the float64 arithmetic is done on those and looked up.
    table = ((np.arange(256, dtype=np.float64) - shift) / scale).astype(np.float32)
    return torch.from_numpy(table[x])
